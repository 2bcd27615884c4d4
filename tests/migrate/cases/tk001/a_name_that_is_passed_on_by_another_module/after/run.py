# case: options TK001
from common.temp import get_debug_temp_dir

from shared import get_temp_dir

print(get_debug_temp_dir("a"))

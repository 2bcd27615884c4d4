# case: options TK001
from common.temp import get_debug_temp_dir

from .other import x

print(get_debug_temp_dir("a"), x)

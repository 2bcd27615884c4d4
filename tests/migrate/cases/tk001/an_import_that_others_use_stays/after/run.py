# case: options TK001
from common.temp import get_debug_temp_dir

from helpers import get_temp_dir

OUT = get_debug_temp_dir("a")

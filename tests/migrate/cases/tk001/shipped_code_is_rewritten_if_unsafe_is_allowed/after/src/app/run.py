# case: options unsafe TK001
from common.temp import get_debug_temp_dir

OUT = get_debug_temp_dir("a")

# case: options TK001
from common.temp import get_debug_temp_dir

from helpers import WIDTH

OUT = get_debug_temp_dir(f"a{WIDTH}")

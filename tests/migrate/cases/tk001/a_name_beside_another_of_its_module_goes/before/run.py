# case: options TK001
from helpers import WIDTH, get_temp_dir

OUT = get_temp_dir(f"a{WIDTH}")

# case: options TK001
# case: left TK001:6 hides the package common.temp
from helpers import get_temp_dir


OUT = get_temp_dir("a")

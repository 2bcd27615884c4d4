# case: options TK001 TK100
# case: left TK100:5 `get_temp_dir` may come from a star import
from helpers import *

print(get_temp_dir("a"))

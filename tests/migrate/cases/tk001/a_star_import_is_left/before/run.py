# case: options TK001 TK100
# case: left TK100:5 star import
from helpers import *

print(get_temp_dir("a"))

# case: options TK001 TK100
# case: left TK100:5 may mean any of
from helpers import get_temp_dir

print(get_temp_dir("a"))

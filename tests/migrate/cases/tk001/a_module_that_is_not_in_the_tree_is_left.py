# case: options TK001 TK100
# case: left TK100:5 is not in this tree
from somewhere.helpers import get_temp_dir

print(get_temp_dir("x"))

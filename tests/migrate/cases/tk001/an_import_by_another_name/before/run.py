# case: options TK001
from lib.dirs import get_temp_dir as scratch

print(scratch("a"))

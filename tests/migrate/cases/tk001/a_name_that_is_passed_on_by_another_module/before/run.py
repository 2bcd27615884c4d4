# case: options TK001
from shared import get_temp_dir

print(get_temp_dir("a"))

# case: options TK001
import sys
from common.temp import (
    get_temp_dir,
    temp_working_dir,
)

print(get_temp_dir("a"), temp_working_dir, sys.argv)

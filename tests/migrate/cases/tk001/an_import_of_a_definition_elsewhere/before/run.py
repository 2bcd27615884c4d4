# case: options TK001
import sys

from helpers import get_temp_dir

print(get_temp_dir("a"), sys.argv)

# case: options TK001
"""A script."""

from common.temp import get_debug_temp_dir

print(get_debug_temp_dir("demo"))

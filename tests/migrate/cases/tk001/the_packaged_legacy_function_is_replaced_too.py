# case: options TK001
"""A script."""

from common.temp import get_temp_dir

print(get_temp_dir("demo"))

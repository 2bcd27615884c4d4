from run import get_temp_dir

print(get_temp_dir)
# case: left TK001:3 passed on

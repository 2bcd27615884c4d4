# case: options TK001 TK100
# case: left TK100:3 is never bound
print(get_temp_dir("x"))

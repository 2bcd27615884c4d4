# case: options TK001 TK100
# case: left TK100:3 is bound nowhere
print(get_temp_dir("x"))

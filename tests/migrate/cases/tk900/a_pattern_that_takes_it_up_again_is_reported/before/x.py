# case: options TK900

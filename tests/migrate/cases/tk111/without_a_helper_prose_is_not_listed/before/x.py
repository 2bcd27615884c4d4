def get_temp_dir(a, b):
    return a

def get_temp_dir(x):
    return x

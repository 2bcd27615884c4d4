from helpers import get_temp_dir

print(get_temp_dir("a"))

from helpers import get_temp_dir, other

print(get_temp_dir("a"), other())

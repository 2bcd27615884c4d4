from common.temp import get_debug_temp_dir

from helpers import other

print(get_debug_temp_dir("a"), other())

from common.temp import get_debug_temp_dir

from .helpers import get_temp_dir as gtd

OUT = get_debug_temp_dir("tools")

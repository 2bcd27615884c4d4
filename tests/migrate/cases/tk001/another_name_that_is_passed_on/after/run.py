from app import tools
from app.tools import gtd
from common.temp import get_debug_temp_dir

OUT = get_debug_temp_dir("run")
MORE = get_debug_temp_dir("more")

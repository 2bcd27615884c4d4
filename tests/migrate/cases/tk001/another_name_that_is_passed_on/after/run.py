from common.temp import get_debug_temp_dir

from app import tools
from app.tools import gtd

OUT = get_debug_temp_dir("run")
MORE = get_debug_temp_dir("more")

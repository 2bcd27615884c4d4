from .helpers import get_temp_dir as gtd

OUT = gtd("tools")

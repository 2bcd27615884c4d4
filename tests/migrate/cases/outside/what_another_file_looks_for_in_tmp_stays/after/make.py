from common.temp import get_debug_temp_dir

from helpers import get_temp_dir

report = get_temp_dir("report")
debug = get_debug_temp_dir("debug")
(report / "a.txt").write_text("x")

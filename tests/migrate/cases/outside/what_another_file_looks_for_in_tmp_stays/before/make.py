from helpers import get_temp_dir

report = get_temp_dir("report")
debug = get_temp_dir("debug")
(report / "a.txt").write_text("x")

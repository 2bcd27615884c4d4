from common.temp import temp_working_dir

with temp_working_dir("module"):
    pass

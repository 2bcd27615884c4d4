from common.temp import temp_working_dir

def ä():
    with temp_working_dir("module") as d:
        print(d)
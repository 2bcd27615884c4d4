from common.temp import temp_working_dir


class Job:
    tempfile = None

    def run(self):
        with temp_working_dir("run") as d:
            print(d)

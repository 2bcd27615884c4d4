from common.temp import temp_working_dir


def main(run):
    try:
        run()
    except Exception:
        with temp_working_dir("module") as d:
            print(d)

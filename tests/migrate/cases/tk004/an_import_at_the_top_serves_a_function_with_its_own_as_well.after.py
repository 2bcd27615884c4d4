from common.temp import temp_working_dir


def work() -> None:
    with temp_working_dir("work"):
        pass


def other() -> None:

    with temp_working_dir("other"):
        pass

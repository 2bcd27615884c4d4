def other() -> None:
    from common.temp import temp_working_dir

    with temp_working_dir("other"):
        pass


other()
from common.temp import temp_working_dir

with temp_working_dir("module"):
    pass

# case: options unsafe
from common.temp import temp_working_dir


def build(make):
    with temp_working_dir("out") as out:
        with temp_working_dir("build") as inner_path:
            inner = str(inner_path)
            with temp_working_dir("build") as deep_path:
                deep = str(deep_path)
                make(out, inner + "/x", deep)

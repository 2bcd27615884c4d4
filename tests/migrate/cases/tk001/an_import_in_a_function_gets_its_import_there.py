# case: options TK001
# case: path projects/a/run.py


def run():
    from common.temp import get_temp_dir

    return get_temp_dir("demo")

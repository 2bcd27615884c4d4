# case: options TK001
import tempfile


def get_temp_dir(prefix="temp"):
    return tempfile.gettempdir() + prefix


print(get_temp_dir("report"))

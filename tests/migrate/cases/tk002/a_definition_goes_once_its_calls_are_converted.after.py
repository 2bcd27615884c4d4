# case: options unsafe
from common.temp import get_debug_temp_dir


def main():
    return get_debug_temp_dir("report")

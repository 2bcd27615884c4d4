import tempfile

from common.temp import get_cache_temp_dir, \
    get_debug_temp_dir

print(get_cache_temp_dir, get_debug_temp_dir)


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)

from common.temp import get_cache_temp_dir, \
    get_debug_temp_dir, temp_working_dir

print(get_cache_temp_dir, get_debug_temp_dir)


def main():
    with temp_working_dir("module") as d:
        print(d)

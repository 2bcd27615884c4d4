# case: options TK001
# case: left TK001:7 tests/test_run.py replaces
from helpers import get_temp_dir


def main():
    return get_temp_dir("a")

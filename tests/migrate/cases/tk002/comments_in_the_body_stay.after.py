# case: options TK002
from common.temp import get_temp_dir as shared_get_temp_dir


def get_temp_dir(prefix):
    # Make sure that .tmp is there
    # may exist
    # One directory for each run
    # as a Path
    return shared_get_temp_dir(prefix)

# case: options TK002
from common.temp import get_temp_dir as shared_get_temp_dir


def get_temp_dir(prefix):
    """Makes one."""
    # TODO: clean these, see #12
    return shared_get_temp_dir(prefix)

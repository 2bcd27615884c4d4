"""Charts, which import the helper by another name from another script."""

from common.temp import get_debug_temp_dir

import report
from report import scratch

if __name__ == "__main__":
    print(get_debug_temp_dir(
        "charts"
    ).is_dir(), get_debug_temp_dir("more").is_dir())

# case: options TK001
import time
from pathlib import Path

try:
    from common.temp import get_debug_temp_dir
except ImportError:

    def _scratch(prefix):
        temp_base = Path(".tmp")
        return temp_base / f"{prefix}_{int(time.time())}"

    from common.temp import get_temp_dir as old

    get_debug_temp_dir = old("x")

# case: options TK001 TK100
# case: left TK100:18 has 2 possible meanings (lines 4, 9)
try:
    from helpers import get_temp_dir
except ImportError:
    import time
    from pathlib import Path

    def get_temp_dir(prefix="temp"):
        temp_base = Path(".tmp")
        temp_base.mkdir(exist_ok=True)
        temp_dir = temp_base / f"{prefix}_{int(time.time())}"
        temp_dir.mkdir(exist_ok=True)
        return temp_dir


def main():
    return get_temp_dir("report")

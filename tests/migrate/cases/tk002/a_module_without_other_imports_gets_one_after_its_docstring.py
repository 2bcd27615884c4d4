# case: options TK002
"""Helpers."""


def get_temp_dir(prefix="temp"):
    import time
    from pathlib import Path

    base = Path(".tmp")
    base.mkdir(parents=True, exist_ok=True)
    path = base / f"{prefix}_{int(time.time())}"
    path.mkdir(parents=True)
    return path

#!/usr/bin/env python
"""Make thumbnails: make_thumbnails.py FOLDER"""
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from thumbs.reading import load  # noqa: E402


def get_temp_dir(prefix: str = "temp") -> Path:
    # copied from thumbs.making, so that the script stays on its own
    base = Path(".tmp")
    base.mkdir(exist_ok=True)
    temp_dir = base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def main(folder):
    out = get_temp_dir("script")
    for photo in sorted(Path(folder).iterdir()):
        image = load(photo).convert("RGB")
        image.thumbnail((100, 100))
        image.save(out / f"{photo.stem}.jpg")
    print(f"{len(list(out.iterdir()))} thumbnails in {out}")


if __name__ == "__main__":
    main(sys.argv[1])

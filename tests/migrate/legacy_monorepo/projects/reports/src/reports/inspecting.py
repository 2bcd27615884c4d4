"""Reports on photos, as JSON – one file each, and one on what looks alike."""

import json
from itertools import combinations
from pathlib import Path

from PIL import Image, ImageStat

NEAR = 10


def report_on(photos):
    """The folder with the reports on `photos`."""
    out = Path(".tmp") / "reports"
    out.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        path = out / (Path(photo).name + ".json")
        path.write_text(json.dumps(look_at(photo), indent=2))
    alike = [[str(a), str(b)] for a, b in near_duplicates(photos)]
    (out / "alike.json").write_text(json.dumps(alike))
    return out


def look_at(photo):
    """Size, mean colour and hash of `photo`."""
    with Image.open(photo) as stored:
        image = stored.convert("RGB")
    mean = "#" + bytes(round(part) for part in ImageStat.Stat(image).mean).hex()
    return {"size": list(image.size), "mean": mean, "hash": "%016x" % dhash(image)}


def dhash(image):
    """The 64-bit difference hash."""
    grey = image.convert("L").resize((9, 8), Image.LANCZOS).tobytes()
    steps = (grey[row + x] < grey[row + x + 1] for row in range(0, 72, 9) for x in range(8))
    return sum(lighter << bit for bit, lighter in enumerate(steps))


def near_duplicates(photos):
    """The pairs of `photos` that look alike."""
    hashes = [(photo, int(look_at(photo)["hash"], 16)) for photo in photos]
    for (one, a), (other, b) in combinations(hashes, 2):
        if bin(a ^ b).count("1") <= NEAR:
            yield one, other


def keep_log(line):
    """Append a line to the log, which all runs share."""
    log = Path(".tmp") / "log"
    log.mkdir(parents=True, exist_ok=True)
    with open(log / "runs.txt", "a") as file:
        file.write(line + "\n")
    return log / "runs.txt"

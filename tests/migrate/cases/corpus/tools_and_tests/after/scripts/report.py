"""A report that leaves its parts for a look at them."""

from common.temp import get_debug_temp_dir

import helpers
from helpers import count, get_temp_dir
from helpers import get_temp_dir as scratch


def part(name):
    out = get_debug_temp_dir(f"part_{name}")
    (out / "x.txt").write_text(name)
    return count(out)


def whole():
    out = get_debug_temp_dir("whole")
    for name in ("a", "b"):
        (out / name).write_text(name)
    return count(out)


def again():
    return get_debug_temp_dir(name_prefix="again").is_dir()


def unnamed():
    return get_debug_temp_dir("temp").is_dir()


def joined():
    return (get_debug_temp_dir("joined") / "x").name


def relative():
    return get_temp_dir("relative").parts[0] == ".tmp"


def passed(make=get_temp_dir):
    return make("passed").is_dir()


def by_name():
    return getattr(helpers, "get_temp_dir")("by_name").is_dir()


def odd():
    return get_debug_temp_dir("odd").name.startswith("odd_")


def listed():
    made = [get_debug_temp_dir(name) for name in ("one", "two")]
    return [path.name.partition("_")[0] for path in made]


if __name__ == "__main__":
    print(part("a"), whole(), again(), unnamed(), joined(), relative(), passed(), by_name())
    print(odd(), listed())

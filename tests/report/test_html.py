"""The page in a real browser: sums as in the JSON, whatever the names, and no requests."""

from __future__ import annotations

import html
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.temp.core.entry import Entry, Inventory, Problem, Use
from common.temp.core.policy import Policy
from common.temp.core.retention import judge
from common.temp.report.html import page
from common.temp.report.markup import Shown
from tests.support import DAY, HOUR, NOW, entry, inv, make_entry, make_project, run, status

NASTY = "</script><script>alert(1)</script>\"'&<b>\n\x1b[31m" + os.fsdecode(b"\xff")


def shown(entries: Sequence[Entry], title: str = "demo", *problems: Problem) -> Shown:
    verdicts = judge(entries, Policy(max_age=7 * DAY), NOW)
    inventory = Inventory("/r", tuple(entries), free=10**11, problems=problems)
    return Shown(title, inventory, verdicts, verdicts)


def many(count: int) -> list[Entry]:
    chance = random.Random(3)
    found = []
    for number in range(count):
        changed = NOW - chance.random() ** 4 * 60 * DAY
        label = f"{chance.choice(('thumbnails', 'inspect', 'training', 'upload'))}-{number % 97}"
        category = chance.choice(("debug", "cache", "test", "work", "own"))
        found.append(
            entry(
                path=f"{category}/{label}_{int(changed)}",
                category=category,
                label=label,
                stamp=int(changed),
                size=int(chance.paretovariate(1.1) * 4096),
                files=chance.randrange(2000),
                changed=changed,
                changed_in=f"logs/run-{chance.randrange(999)}.txt",
                use=Use("owner", f"pid {number} (python train.py)") if number % 20 == 0 else None,
                pin="for the paper" if number % 33 == 0 else None,
            )
        )
    return found


# -- without a browser --------------------------------------------------------------------------


def test_two_thousand_entries_are_less_than_200_kilobytes() -> None:
    assert len(page("demo", [shown(many(2000))], NOW).encode()) < 200_000


def test_labels_and_evidence_that_are_all_different_do_not_make_it_larger() -> None:
    chance = random.Random(5)
    roots = []
    for project in range(4):
        entries = []
        for _ in range(500):
            category = chance.choice(("debug", "cache", "test", "work"))
            label = f"training-run-of-{chance.randbytes(4).hex()}"
            changed = NOW - 8 * DAY - chance.random() * 60 * DAY
            entries.append(
                entry(
                    path=f"{category}/{label}_{int(changed)}",
                    category=category,
                    label=label,
                    stamp=int(changed),
                    size=chance.choice((4096, 8192, 204_800)),
                    changed=changed,
                    changed_in=f"logs/{chance.randbytes(4).hex()}.txt",
                )
            )
        roots.append(shown(entries, f"projects/project-{project}"))
    text = page("demo", roots, NOW)
    assert len(text.encode()) < 200_000
    counts = re.findall(r'title="[^"]*: (\d+) entr', text)
    assert sum(map(int, counts)) == 2000


def test_what_is_not_listed_is_counted_all_the_same() -> None:
    one = shown([entry(path=f"debug/{name}", label=name, size=1024) for name in "abc"])
    text = page("demo", [one._replace(listed=one.verdicts[:1])], NOW)
    assert ">3 entries, 3.0 KiB on disk, 0 B reclaimable; 1 of 3 entries listed<" in text
    assert '<td class="num">3</td><td class="num">3.0 KiB</td>' in text
    assert "c: 1 entry, 1.0 KiB" in text


def test_one_table_has_all_projects_their_categories_and_the_sum() -> None:
    small = shown([entry(path=f"debug/{name}", size=1024) for name in "ab"], "projects/small")
    large = shown([entry(path="cache/c", category="cache", size=4096)], "projects/large")
    text = page("demo", [small, large], NOW, empty=2)
    (table,) = re.findall(r'<table class="sums">(.*?)</table>', text)
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    told = [" ".join(re.sub(r"<small>.*?</small>|<[^>]*>", " ", row).split()) for row in rows]
    assert told == [
        "project and category entries size would go",
        "projects/large 1 4.0 KiB 0 B",
        "cache 1 4.0 KiB 0 B",
        "projects/small 2 2.0 KiB 0 B",
        "debug 2 2.0 KiB 0 B",
        "all 3 6.0 KiB 0 B",
    ]
    assert ">3 entries, 6.0 KiB on disk, 0 B reclaimable; 2 projects without entries<" in text


def test_a_page_loads_nothing_and_links_to_nothing_elsewhere() -> None:
    text = page("demo", [shown(many(50))], NOW)
    assert not re.search(r"(?:src|href|action)=[\"'](?!#|data:)", text)
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_no_text_from_a_disk_is_markup() -> None:
    nasty = entry(
        path=f"{NASTY}/{NASTY}",
        category=NASTY,
        label=NASTY,
        use=Use("owner", NASTY),
        pin=NASTY,
        unreadable=NASTY,
    )
    text = page(NASTY, [shown([nasty], NASTY, Problem(NASTY, NASTY))], NOW)
    assert text.count("<script") == page("demo", [shown([entry()])], NOW).count("<script")
    assert "<b>" not in text
    assert "\x1b" not in text
    text.encode("utf-8")


def test_labels_without_room_of_their_own_are_counted_together() -> None:
    large = entry(path="debug/large", label="large", size=10**7)
    small = [entry(path=f"debug/s{n}", label=f"s{n}", size=1000) for n in range(300)]
    text = page("demo", [shown([large, *small])], NOW)
    assert "300 more: 300 entries" in text
    assert text.count("<a href") < 10


def test_ages_are_counted_where_they_belong() -> None:
    ages = (0, HOUR - 1, HOUR, 30 * DAY, 400 * DAY)
    text = page(
        "demo",
        [shown([entry(path=f"debug/{age}", changed=NOW - age, size=1024) for age in ages])],
        NOW,
    )
    bars = re.findall(
        r"<span>([a-z ]+)</span><i [^>]*></i><span class=\"num\">([^<]*)</span>", text
    )
    assert dict(bars) == {
        "under an hour": "2.0 KiB in 2 entries",
        "under a day": "1.0 KiB in 1 entry",
        "under a week": "0 B in 0 entries",
        "under a month": "0 B in 0 entries",
        "under a year": "1.0 KiB in 1 entry",
        "older": "1.0 KiB in 1 entry",
    }


# -- in a browser -------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


class Look(NamedTuple):
    """A page, the script that a person's clicks stand for, and how wide the window is."""

    text: str
    script: str = ""
    width: int = 1200


LOOK_AT_ALL = """<!DOCTYPE html><script>
for (const [name, [text, script, width]] of Object.entries(LOOKS)) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {width, height: 900, srcdoc: text});
  const wait = setInterval(() => {
    if (!frame.contentDocument?.body?.dataset.shown) return;
    clearInterval(wait);
    new Function("document", script)(frame.contentDocument);
    const seen = document.createElement("textarea");
    seen.name = name;
    seen.textContent = frame.contentDocument.documentElement.outerHTML;
    frame.replaceWith(seen);
  }, 20);
  document.documentElement.append(frame);
}
</script>"""


def opened(looks: dict[str, Look], directory: Path) -> tuple[dict[str, str], str]:
    """Each page as it is in a real browser, started once, and what the console said."""
    path = directory / "looks.html"
    named = json.dumps(looks).replace("<", "\\u003c")
    path.write_text(LOOK_AT_ALL.replace("LOOKS", named))
    # Its sockets have paths of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tempkeep-", dir="/tmp") as short:
        done = subprocess.run(
            [
                str(CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                *("--window-size=1500,900", "--virtual-time-budget=20000", "--dump-dom"),
                f"--user-data-dir={short}/profile",
                path.as_uri(),
            ],
            env={**os.environ, "TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    doms = re.findall(r'<textarea name="([^"]*)">(.*?)</textarea>', done.stdout, re.DOTALL)
    return {name: html.unescape(dom) for name, dom in doms}, "\n".join(said)


def numbers(dom: str) -> tuple[int, int]:
    """How many entries the page shows, and the bytes in them, as its script has counted."""
    body = re.search(r"<body([^>]*)>", dom)
    assert body is not None
    found = dict(re.findall(r'data-(\w+)="(\d+)"', body[1]))
    return int(found["shown"]), int(found["bytes"])


def names(dom: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<td class="name">([^<]*)</td>', dom)]


WIDTHS = (400, 800, 1280)
FITS = """
const wide = document.documentElement.clientWidth, map = document.querySelector(".map");
const boxes = [map, ...map.querySelectorAll("a, div")].map(box => box.getBoundingClientRect());
const low = boxes[0].bottom + 1;
const inside = boxes.every(box => box.left >= 0 && box.right <= wide && box.bottom <= low);
const tables = [...document.querySelectorAll(".wide")];
const uncut = tables.every(box => box.scrollWidth <= box.clientWidth);
document.body.dataset.fits = inside && uncut && document.documentElement.scrollWidth <= wide;
document.body.dataset.names = [...map.querySelectorAll("a span")]
  .filter(name => name.getBoundingClientRect().height).length;
"""
BY_NAME = "document.querySelectorAll('#list th button')[2].click();"
FILTERED = (
    "const text = document.getElementById('text'); text.value = 'DEBUG/'; "
    "text.dispatchEvent(new Event('input'));"
)
GOES = (
    "const fate = document.getElementById('fate'); fate.value = 'goes'; "
    "fate.dispatchEvent(new Event('change'));"
)
BOX = "document.querySelector('.map a{which}').dispatchEvent(new MouseEvent('click'));"


class Seen(NamedTuple):
    """What the browser made of all pages, and the status of the project that one is of."""

    pages: dict[str, str]
    console: str
    status: dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    directory = tmp_path_factory.mktemp("pages")
    project = make_project(directory / "project_of_the_frontend")
    for number in range(12):
        make_entry(project / ".tmp", f"debug/run-{number}_1696348800", files=number)
    own = {"TMPDIR": str(directory), "XDG_STATE_HOME": str(directory / "state")}
    done = inv("temp-status", "--format", "html", "--output", "report.html", cwd=project, **own)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    real = (project / "report.html").read_text()
    old = entry(path="cache/old", label="old", category="cache", changed=NOW - 9 * DAY, size=4096)
    few = page(
        "demo", [shown([entry(path="debug/b", size=10**6), entry(path="debug/a"), old])], NOW
    )
    both = [shown([entry(path="debug/a_1", label="a")], title) for title in ("one", "two")]
    nasty = entry(path=f"debug/{NASTY.replace('/', '')}", label=NASTY, pin=NASTY)
    pages, console = opened(
        {
            **{f"real {width}": Look(real, FITS, width) for width in WIDTHS},
            "as it is": Look(few),
            "by name": Look(few, BY_NAME),
            "by name, down": Look(few, BY_NAME * 2),
            "filtered": Look(few, FILTERED),
            "goes": Look(few, GOES),
            "box": Look(few, BOX.format(which="[data-find*=cache]")),
            "one of two": Look(page("demo", both, NOW), BOX.format(which="")),
            "nasty": Look(page(NASTY, [shown([nasty], NASTY)], NOW)),
        },
        directory,
    )
    return Seen(pages, console, status(project, **own))


@in_a_browser
def test_the_console_is_silent_whatever_the_page_and_its_names(seen: Seen) -> None:
    assert seen.console == ""


@in_a_browser
def test_the_sums_are_those_of_the_json(seen: Seen) -> None:
    totals, listed = seen.status["totals"], seen.status["entries"]
    for width in WIDTHS:
        dom = seen.pages[f"real {width}"]
        assert numbers(dom) == (totals["entries"], totals["size_bytes"])
        assert sorted(names(dom)) == sorted(entry["name"] for entry in listed)


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_the_map_and_the_tables_are_whole_however_narrow_the_page_is(
    seen: Seen, width: int
) -> None:
    body = re.search(r"<body([^>]*)>", seen.pages[f"real {width}"])
    assert body is not None
    assert 'data-fits="true" data-names="12"' in body[1]


@in_a_browser
def test_the_table_sorts_and_filters(seen: Seen) -> None:
    assert names(seen.pages["as it is"]) == ["b", "a", "old"]
    assert names(seen.pages["by name"]) == ["a", "b", "old"]
    assert names(seen.pages["by name, down"]) == ["old", "b", "a"]
    assert sorted(names(seen.pages["filtered"])) == ["a", "b"]
    assert names(seen.pages["goes"]) == ["old"]
    assert names(seen.pages["box"]) == ["old"]


@in_a_browser
def test_a_box_of_the_map_lists_what_it_shows_and_no_other_project(seen: Seen) -> None:
    assert names(seen.pages["one of two"]) == ["a_1"]


@in_a_browser
def test_hostile_names_are_shown_as_text(seen: Seen) -> None:
    dom = seen.pages["nasty"]
    assert numbers(dom) == (1, 4096)
    assert names(dom)[0].startswith("<script><script>alert(1)")


# -- the file -----------------------------------------------------------------------------------


def test_a_report_replaces_the_one_before_and_leaves_nothing_else(project: Path) -> None:
    for _ in range(2):
        assert (
            inv("temp-status", "--format", "html", "--output", "r.html", cwd=project).returncode
            == 0
        )
    assert sorted(path.name for path in project.iterdir() if path.name.startswith((".r", "r"))) == [
        "r.html"
    ]
    assert "no entries" in (project / "r.html").read_text()


def test_a_report_that_cannot_be_written_is_one_line(project: Path) -> None:
    done = inv("temp-status", "--output", "missing/r.html", cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: cannot write missing/r.html: No such file or directory; choose another --output\n"
    )


def test_a_report_on_a_monorepo_bears_its_name_and_counts_all(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "mono")
    inner = make_project(monorepo / "projects" / "inner")
    make_project(monorepo / "projects" / "other")
    for name in "abc":
        make_entry(inner / ".tmp", f"debug/{name}_1696348800")
    shows = ("temp-status", "--all-projects", "--format", "html", "--limit", "1")
    text = inv(*shows, cwd=inner).stdout
    assert "<h1>mono</h1>" in text
    assert "3 entries, 24.0 KiB on disk, 24.0 KiB reclaimable (100 %); 1 of 3 entries" in text
    assert " listed; 2 projects without entries<" in text


@pytest.mark.parametrize("named", [".", "", "/"])
def test_a_report_that_is_to_be_a_directory_is_one_line(project: Path, named: str) -> None:
    done = inv("temp-status", "--output", named, cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: cannot write {named or '.'}: Is a directory; choose another --output\n"
    )


def test_a_report_to_a_link_is_written_where_that_leads(project: Path, tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (project / "r.html").symlink_to(tmp_path / "real.html")
    inv("temp-status", "--output", "r.html", cwd=project)
    assert (project / "r.html").is_symlink()
    assert "no entries" in (tmp_path / "real.html").read_text()


def test_a_report_to_a_pipe_goes_through_it(project: Path) -> None:
    os.mkfifo(project / "pipe")
    reader = os.open(project / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = inv("temp-status", "--output", "pipe", cwd=project)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert b"no entries" in os.read(reader, 65536)
    finally:
        os.close(reader)
    assert (project / "pipe").is_fifo()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_report_to_what_the_shell_appends_to_leaves_what_was_there(project: Path) -> None:
    (project / "log").write_text("before\n")
    # Never by /dev/stdout, which root would lose where this fails; in here nobody can make a file.
    command = f"{shlex.quote(sys.executable)} -m invoke temp-status --output /proc/self/fd/1 >>log"
    assert run(["sh", "-c", command], cwd=project).returncode == 0
    said = (project / "log").read_text()
    assert said.startswith("before\n")
    assert "no entries" in said

"""The page: its sums are the JSON's, in a real browser, whatever the names; it loads nothing."""

from __future__ import annotations

import html
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

import pytest

from common.temp.core.entry import Entry, Inventory, Problem, Use
from common.temp.core.policy import Policy
from common.temp.core.retention import judge
from common.temp.report.html import Shown, page
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
    counts = re.findall(r"<title>[^<]*: (\d+) entr", text)
    assert sum(map(int, counts)) == 2000


def test_what_is_not_listed_is_counted_all_the_same() -> None:
    one = shown([entry(path=f"debug/{name}", label=name, size=1024) for name in "abc"])
    text = page("demo", [one._replace(listed=one.verdicts[:1])], NOW)
    assert ">3 entries, 3.0 KiB on disk, 0 B reclaimable; 1 of 3 entries listed<" in text
    assert '<td class="num">3</td><td class="num">3.0 KiB</td>' in text
    assert "c: 1 entry, 1.0 KiB" in text


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
    assert text.count("<rect") < 10


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


def opened(path: Path, script: str = "", *, width: int = 1200) -> tuple[str, str]:
    """The page as it is in a real browser after `script` ran in it, and what the console said."""
    if script:
        path = path.with_suffix(".more.html")
        later = (
            f"<script>addEventListener('load', () => setTimeout(() => {{{script}}}, 500));</script>"
        )
        path.write_text(path.with_name(path.name.replace(".more", "")).read_text() + later)
    # Its sockets have paths of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tempkeep-", dir="/tmp") as directory:
        done = subprocess.run(
            [
                str(CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                *(f"--window-size={width},900", "--virtual-time-budget=5000", "--dump-dom"),
                f"--user-data-dir={directory}/profile",
                path.as_uri(),
            ],
            env={**os.environ, "TMPDIR": directory},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(said)


def numbers(dom: str) -> tuple[int, int]:
    """How many entries the page shows, and the bytes in them, as its script has counted."""
    body = re.search(r"<body([^>]*)>", dom)
    assert body is not None
    found = dict(re.findall(r'data-(\w+)="(\d+)"', body[1]))
    return int(found["shown"]), int(found["bytes"])


def names(dom: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<td class="name">([^<]*)</td>', dom)]


@in_a_browser
@pytest.mark.parametrize("width", [380, 800, 1400])
def test_the_sums_are_those_of_the_json_and_the_console_is_silent(
    project: Path, width: int
) -> None:
    for number in range(12):
        make_entry(project / ".tmp", f"debug/run-{number}_1696348800", files=number)
    document = status(project)
    done = inv("temp-status", "--format", "html", "--output", "report.html", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    dom, console = opened(project / "report.html", width=width)
    assert console == ""
    assert numbers(dom) == (document["totals"]["entries"], document["totals"]["size_bytes"])
    assert sorted(names(dom)) == sorted(entry["name"] for entry in document["entries"])


@in_a_browser
def test_the_table_sorts_and_filters(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    old = entry(path="cache/old", label="old", category="cache", changed=NOW - 9 * DAY, size=4096)
    path.write_text(
        page("demo", [shown([entry(path="debug/b", size=10**6), entry(path="debug/a"), old])], NOW)
    )
    assert names(opened(path)[0]) == ["b", "a", "old"]
    by_name = "document.querySelectorAll('#list th button')[2].click();"
    assert names(opened(path, by_name)[0]) == ["a", "b", "old"]
    assert names(opened(path, by_name * 2)[0]) == ["old", "b", "a"]
    filtered = (
        "const text = document.getElementById('text'); text.value = 'DEBUG/'; "
        "text.dispatchEvent(new Event('input'));"
    )
    assert sorted(names(opened(path, filtered)[0])) == ["a", "b"]
    goes = (
        "const fate = document.getElementById('fate'); fate.value = 'goes'; "
        "fate.dispatchEvent(new Event('change'));"
    )
    assert names(opened(path, goes)[0]) == ["old"]
    box = (
        "document.querySelector('svg a[data-find*=cache]').dispatchEvent(new MouseEvent('click'));"
    )
    assert names(opened(path, box)[0]) == ["old"]


@in_a_browser
def test_a_box_of_the_map_lists_what_it_shows_and_no_other_project(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    both = [shown([entry(path="debug/a_1", label="a")], title) for title in ("one", "two")]
    path.write_text(page("demo", both, NOW))
    box = "document.querySelector('svg a').dispatchEvent(new MouseEvent('click'));"
    assert names(opened(path, box)[0]) == ["a_1"]


@in_a_browser
def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    nasty = entry(path=f"debug/{NASTY.replace('/', '')}", label=NASTY, pin=NASTY)
    path.write_text(page(NASTY, [shown([nasty], NASTY)], NOW))
    dom, console = opened(path)
    assert console == ""
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
    for name in "abc":
        make_entry(inner / ".tmp", f"debug/{name}_1696348800")
    shows = ("temp-status", "--all-projects", "--format", "html", "--limit", "1")
    text = inv(*shows, cwd=inner).stdout
    assert "<h1>mono</h1>" in text
    assert "3 entries, 24.0 KiB on disk, 24.0 KiB reclaimable (100 %); 1 of 3 entries" in text


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

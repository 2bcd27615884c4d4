"""`cache_dir`: the same directory for every call and every process, until another is requested."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.temp import (
    InvalidName,
    Refused,
    cache_dir,
    get_cache_temp_dir,
)
from common.temp import hold as hold_on
from common.temp.core.policy import Policy
from common.temp.store.root.last_use import last_uses
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import HOUR, environment, hold, inv, make_entry, process, swept, tempkeep
from tests.warm import Started

EVERYTHING = Policy(everything=True)

PRINTS = (
    "import sys; from common.temp import cache_dir; print(cache_dir(*sys.argv[1:]), flush=True)"
)


def of_new_processes(project: Path, number: int, *arguments: str) -> list[Path]:
    """What `cache_dir` gives to so many processes that ask at once."""
    command = [sys.executable, "-c", f"{PRINTS}; sys.stdin.read()", *arguments]
    started = [
        Started(
            command,
            cwd=project,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    paths = []
    for one in started:
        assert one.stdout is not None
        paths.append(Path(one.stdout.readline().strip()))
    for one in started:
        one.communicate("")
    return paths


@pytest.mark.parametrize("how", ["undo", "archive"])
def test_it_is_found_again_when_it_was_restored(project: Path, how: str) -> None:
    archive = 'archive = true\narchive_format = "tar.gz"\n' if how == "archive" else ""
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{archive}")
    with cache_dir("wheels", "key", version="2") as made:
        (made / "a").write_text("kept")
    before = last_uses(project / ".tmp")[f"cache/{made.name}"]
    flags = () if how == "archive" else ("--undoable",)
    assert tempkeep("temp-clean", "--everything", "--yes", *flags) == 0
    assert last_uses(project / ".tmp") == {}
    assert tempkeep("temp-restore", made.name) == 0
    after = last_uses(project / ".tmp")[f"cache/{made.name}"]
    assert after._replace(used=0) == before._replace(used=0)
    with cache_dir("wheels", "key", version="2") as again:
        assert (again / "a").read_text() == "kept"


def test_it_is_found_again_by_this_and_by_other_processes(project: Path) -> None:
    made = cache_dir("thumbnails")
    (made / "a").write_text("kept")
    assert made.parent == project / ".tmp" / "cache"
    assert cache_dir("thumbnails") == made
    assert of_new_processes(project, 1, "thumbnails") == [made]
    assert (made / "a").read_text() == "kept"


def test_processes_that_ask_at_once_get_the_same_one(project: Path) -> None:
    assert len(set(of_new_processes(project, 8, "thumbnails"))) == 1
    assert len(list((project / ".tmp" / "cache").iterdir())) == 1


def test_another_name_key_or_version_is_another_cache(project: Path) -> None:
    made = {
        cache_dir("a"),
        cache_dir("b"),
        cache_dir("a", "lock-1"),
        cache_dir("a", "lock-2"),
        cache_dir("a", version="2"),
        cache_dir("a", "lock-1", version="2"),
        cache_dir("a", "\0 any/text: \udcff"),
    }
    assert len(made) == 7
    assert cache_dir("a", "lock-1") in made
    assert cache_dir("a", version="2") in made
    assert cache_dir("a", "\0 any/text: \udcff") in made


def test_a_fresh_one_is_found_from_then_on(project: Path) -> None:
    old = cache_dir("a")
    new = cache_dir("a", fresh=True)
    assert new != old
    assert cache_dir("a") == new


def test_it_finds_what_get_cache_temp_dir_made(project: Path) -> None:
    made = get_cache_temp_dir("a")
    assert cache_dir("a") == made
    assert cache_dir("a", "key") != made


def test_it_is_in_use_until_it_is_released(project: Path) -> None:
    root = project / ".tmp"
    with cache_dir("a") as path:
        assert hold(root, path) == "owner"
        with cache_dir("a") as again:
            assert again == path
        assert hold(root, path) == "owner"
    assert hold(root, path) == ""
    held = cache_dir("a")
    assert hold(root, held) == "owner"
    held.release()
    held.release()
    assert hold(root, held) == ""


def test_in_another_process_it_is_in_use_while_that_lives(project: Path) -> None:
    root = project / ".tmp"
    with process(f"{PRINTS}; sys.stdin.read()".replace("*sys.argv[1:]", "'a'"), cwd=project) as one:
        path = Path(one.first_line)
        assert hold(root, path) == "owner"
        assert swept(root, EVERYTHING).outcomes == ()
    assert len(swept(root, EVERYTHING).done) == 1
    assert cache_dir("a").is_dir()


def test_paths_below_it_are_paths_like_any(project: Path) -> None:
    made = cache_dir("a")
    below = made / "x" / "y"
    below.parent.mkdir()
    below.write_text("z")
    assert below.parent.parent == made == Path(str(made))
    assert pickle.loads(pickle.dumps(made)) == made
    assert {Path(str(made)): 1}[made] == 1
    assert made.with_name("b").parent == made.parent


def test_what_is_no_directory_of_this_user_is_not_taken(project: Path, tmp_path: Path) -> None:
    category = project / ".tmp" / "cache"
    first = cache_dir("a")
    foreign = make_entry(project / ".tmp", "cache/a_9000000000")
    (category / "a_9000000001").symlink_to(tmp_path)
    (category / "a_9000000002").write_text("")
    if os.geteuid() == 0:
        os.chown(foreign, 1000, 1000)
        assert cache_dir("a") == first
    else:
        assert cache_dir("a") == foreign


def test_a_category_that_is_a_link_is_refused(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    make_entry(elsewhere, "a_1600000000")
    cache_dir("a").release()
    swept(project / ".tmp", EVERYTHING)
    (project / ".tmp" / "cache").rmdir()
    (project / ".tmp" / "cache").symlink_to(elsewhere)
    with pytest.raises(Refused, match="symlink"):
        cache_dir("a")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 250])
def test_a_bad_name_is_refused_before_anything_is_made(project: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        cache_dir(name)
    assert not (project / ".tmp").exists()


def test_a_use_is_noted_at_most_once_an_hour(project: Path) -> None:
    root = project / ".tmp"

    def noted() -> Sequence[float]:
        return [use.used for use in last_uses(root).values()]

    cache_dir("a").release()
    first = noted()
    cache_dir("a").release()
    assert noted() == first
    (record,) = (root / ".tempkeep" / "used").iterdir()
    for hours in (2, -2):  # longer ago, and in the future, where a clock was wrong
        other = time.time() - hours * 3600
        os.utime(record, (other, other))
        cache_dir("a").release()
        assert abs(noted()[0] - time.time()) < 60


def test_hold_notes_the_use_of_any_entry(project: Path) -> None:
    root = project / ".tmp"
    path = make_entry(root, "work/x")
    hold_on(path).release()
    assert list(last_uses(root)) == ["work/x"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"path": 1}', '{"path": "cache/a_1"}', "[" * 9999]
)
def test_a_record_that_cannot_be_read_counts_as_none(project: Path, text: str) -> None:
    made = cache_dir("a", "key")
    (record,) = (project / ".tmp" / ".tempkeep" / "used").iterdir()
    record.write_text(text)
    assert last_uses(project / ".tmp") == {}
    assert cache_dir("a", "key") != made


def test_a_use_counts_as_a_change_for_age_and_order_and_is_shown(project: Path) -> None:
    root = project / ".tmp"
    used, unused = (make_entry(root, f"cache/{name}", age_hours=99) for name in ("a", "b"))
    hold_on(used).release()
    assert "last used" in inv("temp-explain", "--path", str(used), cwd=project).stdout
    assert len(swept(root, Policy(max_age=24 * HOUR, max_count=1)).done) == 1
    assert (used.is_dir(), unused.is_dir()) == (True, False)
    make_entry(root, "cache/c_1600000000", age_hours=9)
    make_entry(root, "cache/c_1600000001", age_hours=8)
    hold_on(root / "cache/c_1600000000").release()
    assert len(swept(root, Policy(max_count=1)).done) == 1
    assert (root / "cache/c_1600000000").is_dir()
    assert sorted(last_uses(root)) == ["cache/a", "cache/c_1600000000"]
    assert len(swept(root, EVERYTHING).done) == 2
    assert last_uses(root) == {}


def test_one_that_was_used_since_the_plan_was_made_stays(project: Path) -> None:
    root = project / ".tmp"
    path = make_entry(root, "cache/a", age_hours=99)
    plan = prepare(root, Policy(max_age=24 * HOUR), time.time())
    hold_on(path).release()
    (outcome,) = execute(plan).outcomes
    assert (outcome.status, outcome.detail) == ("skipped", "has been used meanwhile")
    assert path.is_dir()

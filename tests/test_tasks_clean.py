"""`temp-clean`: what goes, what stays, who is asked, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import random
import sys
from pathlib import Path

import pytest

from tests.support import (
    as_plain_user,
    check_report,
    environment,
    forked,
    inv,
    listing,
    make_entry,
    make_project,
    process,
    run,
    tempkeep,
)
from tests.warm import Started

Printed = pytest.CaptureFixture[str]

WORKING = (
    "from common.temp import TempManager; import time;"
    "print(TempManager.create_persistent_dir('run', 'work'), flush=True); time.sleep(60)"
)


def entries(project: Path, root: str = ".tmp") -> set[str]:
    """What lies in the root, by category and name, without what tempkeep keeps for itself."""
    top = project / root
    return {
        f"{category.name}/{entry.name}"
        for category in top.iterdir()
        if category.is_dir() and not category.name.startswith(".")
        for entry in category.iterdir()
    }


def old_and_new(project: Path) -> None:
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=31.5)
    make_entry(project / ".tmp", "debug/new_1696348800", age_hours=1)


# -- which entries ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ((), set()),
        (("--max-age-hours", "24"), {"debug/new_1696348800"}),
        (("--max-age-hours", "31"), {"debug/new_1696348800"}),
        (("--max-age-hours", "32"), {"debug/new_1696348800", "debug/old_1696348800"}),
        (("--max-age-hours", "0"), set()),
        (("--max-age", "1d"), {"debug/new_1696348800"}),
        (("--max-age", "1900m"), {"debug/new_1696348800", "debug/old_1696348800"}),
        (("--max-age", "0h"), set()),
        (("--category", "cache"), {"debug/new_1696348800", "debug/old_1696348800"}),
        (("--category", "debug"), set()),
        (("--name", "old"), {"debug/new_1696348800"}),
        (("--name", "old_*"), {"debug/new_1696348800"}),
        (("--name", "debug/o*"), {"debug/new_1696348800"}),
        (("--name", "ol"), {"debug/new_1696348800", "debug/old_1696348800"}),
        (("--strategy", "moderate"), {"debug/new_1696348800", "debug/old_1696348800"}),
    ],
)
def test_the_limits_and_the_scope_say_what_goes(
    project: Path, arguments: tuple[str, ...], left: set[str]
) -> None:
    old_and_new(project)

    assert tempkeep("temp-clean", *arguments) == 0

    assert entries(project) == left


def test_a_strategy_goes_by_count_and_by_age(project: Path) -> None:
    for number in range(5):
        make_entry(project / ".tmp", f"debug/run_169634880{number}", age_hours=10 - number)
    make_entry(project / ".tmp", "debug/single_1696348800", age_hours=24 * 3 + 1)

    assert tempkeep("temp-clean", "--strategy", "aggressive") == 0

    assert entries(project) == {f"debug/run_169634880{number}" for number in (2, 3, 4)}


def test_the_archive_strategy_archives_what_goes(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=24 * 8)

    assert tempkeep("temp-clean", "--strategy", "archive") == 0

    assert entries(project) == set()
    assert (project / ".tmp-archive" / "debug__run_1696348800" / "file0.txt").is_file()
    assert "archived debug/run_1696348800" in capsys.readouterr().out


def test_archiving_that_is_configured_holds_for_a_named_strategy_too(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\narchive = true\n")
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=24 * 8)

    assert tempkeep("temp-clean", "--strategy", "aggressive") == 0

    assert (project / ".tmp-archive" / "debug__run_1696348800").is_dir()


def test_a_strategy_that_does_not_archive_deletes(project: Path) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=24 * 8)

    assert tempkeep("temp-clean", "--strategy", "moderate") == 0

    assert not (project / ".tmp-archive").exists()


def test_a_configured_policy_is_followed_by_a_bare_clean(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 24\n")
    old_and_new(project)

    assert tempkeep("temp-clean") == 0

    assert entries(project) == {"debug/new_1696348800"}


def test_everything_cleans_all_that_is_unprotected_whatever_is_configured(
    project: Path,
) -> None:
    (project / "pyproject.toml").write_text(
        '[tool.tempkeep]\nmax_age_hours = 24\nexclude = ["gold*"]\n'
    )
    old_and_new(project)
    make_entry(project / ".tmp", "cache/gold_1696348800")
    make_entry(project / ".tmp", "cache/pinned_1696348800")
    assert tempkeep("temp-pin", "pinned_1696348800", "--reason", "r") == 0

    assert tempkeep("temp-clean", "--everything") == 0

    assert entries(project) == {"cache/gold_1696348800", "cache/pinned_1696348800"}


def test_nothing_to_clean_is_one_line(project: Path, capsys: Printed) -> None:
    assert tempkeep("temp-clean") == 0

    assert capsys.readouterr().out == "project: nothing to clean\n"


def test_what_another_scope_left_out_is_counted(project: Path, capsys: Printed) -> None:
    old_and_new(project)

    assert tempkeep("temp-clean", "--name", "typo") == 0

    assert "cleaned 0 entries" in (out := capsys.readouterr().out)
    assert "2 not selected" in out


# -- arguments that cannot be used --------------------------------------------------------------


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "-1", "1e400", "", "24h", "-inf", "24"])
def test_a_bad_age_is_one_line_and_exit_code_2(project: Path, capsys: Printed, text: str) -> None:
    old_and_new(project)
    hours = (
        f"--max-age-hours: expected a number of hours of 0 or more, got {text!r}; --max-age takes "
        "a time with a unit"
    )
    unit = "; it needs a unit, as in 24h or 24d" if text == "24" else ""
    time = f"--max-age: expected a time such as 90m, 36h, 7d or 2w, got {text!r}{unit}"
    refused = [line for line, good in ((hours, "24"), (time, "24h")) if text != good]

    for expected in refused:
        assert tempkeep("temp-clean", f"{expected.partition(':')[0]}={text}") == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", f"error: {expected}\n")
    assert len(entries(project)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--strategy", "mild"),
            "--strategy: expected one of aggressive, moderate, conservative, archive, got 'mild'",
        ),
        (("--format", "csv"), "--format: expected one of table, json, got 'csv'"),
        (
            ("--everything", "--max-age-hours", "3"),
            "--everything takes no limit; leave out one of them",
        ),
        (
            ("--everything", "--max-age", "3d"),
            "--everything takes no limit; leave out one of them",
        ),
        (
            ("--max-age", "3d", "--max-age-hours", "72"),
            "--max-age and --max-age-hours set the same; leave out one",
        ),
        (
            ("--everything", "--strategy", "archive"),
            "--everything takes no limit; leave out one of them",
        ),
        (
            ("--include-in-use",),
            "--include-in-use needs --name: say which entries to take from a running process",
        ),
        (
            ("--trash", "--strategy", "archive"),
            "--trash and --strategy archive exclude each other; choose one",
        ),
    ],
)
def test_arguments_that_cannot_be_used_touch_nothing(
    project: Path, capsys: Printed, arguments: tuple[str, ...], message: str
) -> None:
    old_and_new(project)

    assert tempkeep("temp-clean", "--force", *arguments) == 2

    assert capsys.readouterr().err == f"error: {message}\n"
    assert len(entries(project)) == 2


def test_a_settings_error_in_one_of_many_projects_touches_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monorepo = make_project(tmp_path / "mono")
    for name in ("a", "b", "c"):
        project = make_project(monorepo / "projects" / name)
        make_entry(project / ".tmp", "debug/x_1696348800")
        if name != "a":
            (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_ages = 3\n")
    monkeypatch.chdir(monorepo)
    before = listing(monorepo)

    assert tempkeep("temp-clean", "--all-projects") == 2

    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{monorepo}/projects/b/pyproject.toml: [tool.tempkeep]: max_ages" in err
    assert listing(monorepo) == before


def test_all_projects_are_cleaned_and_the_empty_ones_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monorepo = make_project(tmp_path / "mono")
    for name in ("a", "b", "c"):
        make_project(monorepo / "projects" / name)
    make_entry(monorepo / "projects" / "a" / ".tmp", "debug/x_1696348800")
    monkeypatch.chdir(monorepo / "projects" / "c")

    assert tempkeep("temp-clean", "--all-projects") == 0

    assert entries(monorepo / "projects" / "a") == set()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "projects/a: cleaned 1 entry, freed 8.0 KiB",
        "3 projects: nothing to clean",
    ]


def test_a_root_that_cannot_be_read_does_not_stop_the_other_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monorepo = make_project(tmp_path / "mono")
    make_project(monorepo / "projects" / "a").joinpath(".tmp").write_text("")
    make_entry(make_project(monorepo / "projects" / "b") / ".tmp", "debug/x_1696348800")
    monkeypatch.chdir(monorepo)

    assert tempkeep("temp-clean", "--all-projects") == 1

    assert entries(monorepo / "projects" / "b") == set()
    assert "problem: projects/a: .tmp: " in capsys.readouterr().err


# -- in use -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [(), ("--force",), ("--everything", "--force"), ("--max-age-hours", "0")]
)
def test_no_force_takes_an_entry_in_use(
    project: Path, capsys: Printed, arguments: tuple[str, ...]
) -> None:
    with process(WORKING, cwd=project) as running:
        assert tempkeep("temp-clean", *arguments) == 0

        assert Path(running.first_line).is_dir()
        assert f"in use: pid {running.pid} (" in capsys.readouterr().out


def test_include_in_use_takes_the_named_entry_of_a_running_process(
    project: Path, capsys: Printed
) -> None:
    with process(WORKING, cwd=project) as running, process(WORKING, cwd=project) as other:
        name = Path(running.first_line).name

        assert tempkeep("temp-clean", "--include-in-use", "--name", name) == 0

        assert not Path(running.first_line).exists()
        assert Path(other.first_line).is_dir()
    assert f"deleted work/{name}" in capsys.readouterr().out


def test_include_in_use_leaves_the_auto_cleanup_entries_of_other_programs(project: Path) -> None:
    code = (
        "from common.temp import TempManager; import sys\n"
        "with TempManager.auto_cleanup_dir('mine') as d:\n"
        "    print(d, flush=True); sys.stdin.read()"
    )
    with process(code, cwd=project) as running:
        assert tempkeep("temp-clean", "--include-in-use", "--name", "*") == 0

        assert Path(running.first_line).is_dir()


def test_what_a_killed_process_left_in_the_system_s_directory_goes(
    project: Path, capsys: Printed
) -> None:
    code = (
        "from common.temp import TempManager; import os, signal\n"
        "with TempManager.auto_cleanup_dir('mine') as d:\n"
        "    print(d, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with process(code, cwd=project) as killed:
        killed.wait()

        assert tempkeep("temp-clean", "--max-age-hours", "9999") == 0

        assert not Path(killed.first_line).exists()
    assert "auto-cleanup entries of this user: cleaned 1 entry" in capsys.readouterr().out


# -- dry runs ---------------------------------------------------------------------------------


def test_a_configured_dry_run_is_told_with_its_remedy(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    old_and_new(project)

    assert tempkeep("temp-clean", "--yes") == 0

    printed = capsys.readouterr()
    assert printed.err == "dry_run is configured, so nothing is cleaned; use --force to clean\n"
    assert "would delete debug/old_1696348800" in printed.out
    assert len(entries(project)) == 2


def test_force_overrides_a_configured_dry_run(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    old_and_new(project)

    assert tempkeep("temp-clean", "--force") == 0

    assert entries(project) == set()
    assert capsys.readouterr().err == ""


def test_force_does_not_override_a_dry_run_that_was_asked_for(project: Path) -> None:
    old_and_new(project)

    assert tempkeep("temp-clean", "--force", "--dry-run") == 0

    assert len(entries(project)) == 2


_POLICIES = (
    "",
    "max_age_hours = 24",
    "max_count = 2",
    'max_total_size = "40KiB"',
    "max_age_hours = 24\nkeep_last = 1",
    'strategy = "aggressive"\nexclude = ["a_*"]',
    "max_count = 1\nkeep_within_hours = 5\n[tool.tempkeep.category.cache]\nmax_age_hours = 3",
)
_LIMITS: tuple[tuple[str, ...], ...] = (
    (),
    ("--everything",),
    ("--max-age-hours", "10"),
    ("--max-age-hours", "0"),
    ("--strategy", "conservative"),
    ("--category", "debug"),
    ("--name", "*_169634880[0-4]*"),
)


def _random_tree(root: Path, chance: random.Random) -> None:
    for _ in range(chance.randrange(9)):
        category = chance.choice(("debug/", "cache/", "mine/", ""))
        name = f"{chance.choice('ab c')}_{1696348800 + chance.randrange(9)}"
        path = root / f"{category}{name}"
        if path.exists():
            continue
        make_entry(
            root,
            f"{category}{name}",
            age_hours=chance.choice((0.5, 4.5, 20.5, 30.5, 100.5, 1000.5)),
            files=chance.randrange(4),
        )
        if chance.random() < 0.2:
            (path / "link").symlink_to("/etc")


@pytest.mark.parametrize("seeds", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_a_dry_run_prints_the_very_set_that_the_same_command_cleans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, seeds: int
) -> None:
    cleaned = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        policy = chance.choice(_POLICIES)
        project = make_project(tmp_path / str(seed), f"[tool.tempkeep]\n{policy}\n")
        _random_tree(project / ".tmp", chance)
        if chance.random() < 0.3:
            (project / ".tmp").mkdir(exist_ok=True)
            (project / ".tmp" / "loose.txt").write_text("x")
            monkeypatch.chdir(project)
            assert tempkeep("temp-pin", "loose.txt", "--reason", "r") == 0
            capsys.readouterr()
        monkeypatch.chdir(project)
        arguments = ("temp-clean", "--format", "json", *chance.choice(_LIMITS))

        assert tempkeep(*arguments, "--dry-run") == 0
        planned = check_report(json.loads(capsys.readouterr().out))["projects"][0]
        assert tempkeep(*arguments) == 0
        done = check_report(json.loads(capsys.readouterr().out))["projects"][0]

        paths = {entry["path"] for entry in planned["entries"]}
        kept = {entry["path"] for entry in planned["kept"]}
        assert {entry["path"] for entry in done["entries"]} == paths, seed
        assert {entry["status"] for entry in done["entries"]} <= {"done"}, seed
        assert not any((project / ".tmp" / path).exists() for path in paths), seed
        assert all((project / ".tmp" / path).exists() for path in kept), seed
        assert done["freed_bytes"] == planned["planned_bytes"], seed
        cleaned += len(paths)
    assert cleaned > seeds // 2


# -- a person at a terminal ---------------------------------------------------------------------


def on_terminal(
    *arguments: str, cwd: Path, typed: bytes, when: bytes, output: Path | None = None
) -> tuple[int, str]:
    """The exit code of a real `inv` on a terminal of its own, and what that terminal shows.

    `typed` is typed as soon as the terminal shows `when`. With `output`, stdout goes there.
    """
    takes_the_terminal = (
        "import fcntl, os, runpy, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "runpy.run_module('invoke', run_name='__main__', alter_sys=True)"
    )
    ours, theirs = pty.openpty()
    try:
        with open(output or os.devnull, "wb") as file:
            started = Started(
                [sys.executable, "-c", takes_the_terminal, *arguments],
                cwd=cwd,
                env=environment(CI=""),
                stdin=theirs,
                stdout=file if output else theirs,
                stderr=theirs,
            )
        os.close(theirs)
        seen = b""
        while True:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if typed and when in seen:
                os.write(ours, typed)
                typed = b""
        return started.wait(), seen.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)


def test_a_yes_at_the_one_question_cleans_what_was_shown(project: Path) -> None:
    old_and_new(project)

    code, seen = on_terminal("temp-clean", cwd=project, typed=b"y\n", when=b"[y/N] ")

    assert code == 0
    why = "no policy configured"
    shown, _, rest = seen.partition("\n\nDelete 2 entries, 16.0 KiB? [y/N] y\n")
    assert [" ".join(line.split()) for line in shown.splitlines()[-2:]] == [
        f"debug/old_1696348800 8.0 KiB 32 h {why}",
        f"debug/new_1696348800 8.0 KiB 60 min {why}",
    ]
    assert "cleaned 2 entries" in rest
    assert seen.count("[y/N]") == 1
    assert entries(project) == set()


@pytest.mark.parametrize("typed", [b"n\n", b"\n", b"maybe\n", b"\x04"], ids=repr)
def test_any_other_answer_is_a_no_and_exit_code_3(project: Path, typed: bytes) -> None:
    old_and_new(project)

    code, seen = on_terminal("temp-clean", cwd=project, typed=typed, when=b"[y/N] ")

    assert code == 3
    assert "\nnothing was cleaned" in seen
    assert len(entries(project)) == 2


def test_before_the_question_the_twenty_largest_are_shown_and_the_rest_counted(
    project: Path,
) -> None:
    for number in range(1, 24):
        path = make_entry(project / ".tmp", f"debug/x{number}_1696348800", files=0)
        (path / "data").write_bytes(b"x" * (number << 12))
    long = "a-name-that-is-longer-than-any-terminal-is-wide-" * 2
    make_entry(project / ".tmp", f"debug/{long}_1696348800", files=99)

    code, seen = on_terminal("temp-clean", cwd=project, typed=b"\n", when=b"[y/N] ")

    assert code == 3
    first, *rows, more, _, question, last = seen[seen.index("\ndebug/") + 1 :].splitlines()
    assert first == f"debug/{long}_1696348800"
    assert [row.split("_")[0] for row in rows[1:]] == [f"debug/x{n}" for n in range(23, 4, -1)]
    assert all(len(row) <= 80 for row in rows)
    assert (more, last) == ("and 4 more, 56.0 KiB", "nothing was cleaned")
    assert question.startswith("Delete 24 entries, ")


def test_ctrl_c_at_the_question_ends_with_130_and_loses_nothing(project: Path) -> None:
    old_and_new(project)

    code, seen = on_terminal("temp-clean", cwd=project, typed=b"\x03", when=b"[y/N] ")

    assert code == 130
    assert "Traceback" not in seen
    assert len(entries(project)) == 2


def test_the_question_is_asked_although_the_output_goes_to_a_file(
    project: Path, tmp_path: Path
) -> None:
    old_and_new(project)

    code, seen = on_terminal(
        "temp-clean", cwd=project, typed=b"n\n", when=b"[y/N] ", output=tmp_path / "out"
    )

    assert code == 3
    assert "Delete 2 entries, 16.0 KiB? [y/N] " in seen
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize(
    "arguments",
    [("--yes",), ("--force",), ("--max-age-hours", "1e-9"), ("--strategy", "aggressive")],
    ids=" ".join,
)
def test_with_a_limit_or_a_yes_nobody_is_asked(project: Path, arguments: tuple[str, ...]) -> None:
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=24 * 30)

    code, seen = on_terminal("temp-clean", *arguments, cwd=project, typed=b"n\n", when=b"[y/N]")

    assert (code, "[y/N]" in seen) == (0, False)
    assert entries(project) == set()


def test_an_error_on_a_terminal_breaks_at_words(project: Path) -> None:
    code, seen = on_terminal("temp-clean", "--strategy", "slow", cwd=project, typed=b"", when=b"")

    assert (code, seen) == (
        2,
        "error: --strategy: expected one of aggressive, moderate, conservative,\n"
        "    archive, got 'slow'\n",
    )


def test_nobody_is_asked_about_nothing(project: Path) -> None:
    code, seen = on_terminal("temp-clean", cwd=project, typed=b"n\n", when=b"[y/N]")

    assert (code, seen) == (0, "project: nothing to clean\n")


@pytest.mark.parametrize("task", ["temp-clean", "clean"])
def test_nobody_is_asked_on_a_pipe_but_told_that_no_policy_is_configured(
    project: Path, task: str
) -> None:
    old_and_new(project)

    done = forked(task, cwd=project, stdin="n\n")

    assert (done.returncode, done.stderr) == (
        0,
        "no policy is configured for project, so all that nothing protects goes; set max_age = "
        '"7d" or another limit in [tool.tempkeep], or refuse to clean without one '
        "(require_policy = true)\n",
    )
    assert entries(project) == set()


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--yes",), ("--max-age", "1d")])
def test_a_clean_that_was_meant_is_not_told_so(
    project: Path, capsys: Printed, arguments: tuple[str, ...]
) -> None:
    if arguments:
        old_and_new(project)  # and without any entry nothing goes
    assert tempkeep("temp-clean", *arguments) == 0
    assert capsys.readouterr().err == ""


def test_where_a_policy_is_required_nothing_goes_without_one(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_and_new(project)
    make_entry(project, "build")
    before = listing(project)
    refused = (
        "error: no policy is configured for project, and one is required; set max_age = "
        '"7d" or another limit in [tool.tempkeep], or give one on the command line '
        "(--everything cleans all that nothing protects)\n"
    )

    def is_refused(*arguments: str) -> None:
        assert tempkeep(*arguments) == 3
        assert capsys.readouterr() == ("", refused)
        assert listing(project) == before

    is_refused("temp-clean", "--require-policy")
    is_refused("temp-clean", "--require-policy", "--yes", "--name", "old*")
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nrequire_policy = true\n")
    before = listing(project)
    is_refused("temp-clean", "--dry-run")
    is_refused("clean")
    (project / "pyproject.toml").write_text("")
    before = listing(project)
    monkeypatch.setenv("TEMPKEEP_REQUIRE_POLICY", "1")
    is_refused("temp-clean", "--force")

    assert tempkeep("temp-clean", "--max-age", "7d") == 0
    assert listing(project) == before
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nmax_age = "1d"\n')
    assert tempkeep("temp-clean") == 0
    assert entries(project) == {"debug/new_1696348800"}
    assert tempkeep("temp-clean", "--everything", "--require-policy") == 0
    assert entries(project) == set()


def test_ctrl_c_in_a_long_removal_says_what_is_left_and_the_next_clean_finishes(
    project: Path,
) -> None:
    # Workers would delete the third beside the second.
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nworkers = 1\n")
    make_entry(project / ".tmp", "debug/first_1696348800", age_hours=3)
    big = make_entry(project / ".tmp", "debug/second_1696348800")
    for number in range(30_000):
        os.close(os.open(big / str(number), os.O_CREAT | os.O_WRONLY))
    make_entry(project / ".tmp", "debug/third_1696348800")

    code, seen = on_terminal(
        "temp-clean", "--yes", cwd=project, typed=b"\x03", when=b"deleted debug/first"
    )

    assert code == 130
    assert "interrupted: 1 of 3 entries dealt with, 8.0 KiB freed" in seen
    assert "the next temp-clean finishes what was begun" in seen
    assert "Traceback" not in seen
    assert "debug/third_1696348800" in entries(project)

    done = inv("temp-clean", "--yes", cwd=project)

    assert done.returncode == 0
    assert entries(project) == set()
    assert listing(project / ".tmp" / ".tempkeep" / "holding") == []


# -- trash, failures, exit codes ----------------------------------------------------------------


def test_trash_moves_the_entry_and_says_that_no_space_is_freed(
    project: Path, tmp_path: Path
) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    home = tmp_path / "home"
    home.mkdir()

    done = inv("temp-clean", "--trash", cwd=project, HOME=str(home), XDG_DATA_HOME=str(home))

    assert done.returncode == 0, done.stderr
    assert (home / "Trash" / "files" / "a_1696348800" / "file0.txt").is_file()
    assert "trashed debug/a_1696348800  in the trash, which frees no space" in done.stdout
    assert "freed 0 B" in done.stdout
    assert entries(project) == set()


def test_what_cannot_be_trashed_stays_with_reason_and_remedy(project: Path, tmp_path: Path) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    (tmp_path / "blocked").write_text("")

    done = inv(
        *("temp-clean", "--yes", "--trash"),
        cwd=project,
        HOME=str(tmp_path),
        XDG_DATA_HOME=f"{tmp_path}/blocked",
    )

    assert done.returncode == 1
    assert done.stderr.startswith("failed debug/a_1696348800: cannot be trashed (")
    assert done.stderr.endswith(", or delete it without --trash, or free the trash\n")
    assert entries(project) == {"debug/a_1696348800"}


def test_the_question_names_what_becomes_of_the_entries(project: Path) -> None:
    old_and_new(project)

    _, seen = on_terminal("temp-clean", "--trash", cwd=project, typed=b"n\n", when=b"[y/N] ")

    assert "Trash 2 entries, 16.0 KiB? [y/N] " in seen


def test_one_failed_entry_is_a_line_and_exit_code_1_and_the_others_go(
    project: Path, capsys: Printed
) -> None:
    stuck = make_entry(project / ".tmp", "debug/stuck_1696348800")
    make_entry(project / ".tmp", "debug/other_1696348800")
    if run(["chattr", "+i", str(stuck / "file0.txt")], cwd=project).returncode:
        pytest.skip("needs chattr +i (root, and a filesystem that knows it)")
    try:
        assert tempkeep("temp-clean") == 1
    finally:
        run(["chattr", "-i", str(stuck / "file0.txt")], cwd=project)

    printed = capsys.readouterr()
    assert "failed debug/stuck_1696348800: file0.txt: Operation not permitted" in printed.err
    assert "cleaned 1 entry" in printed.out
    assert "; 1 failed" in printed.out
    assert entries(project) == {"debug/stuck_1696348800"}


def test_a_root_that_may_not_be_written_to_is_told_and_loses_nothing(project: Path) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    for path in (project / ".tmp" / "debug", project / ".tmp"):
        path.chmod(0o555)

    done = as_plain_user("temp-clean", cwd=project)

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert entries(project) == {"debug/a_1696348800"}


def test_json_tells_what_became_of_each_entry(project: Path, capsys: Printed) -> None:
    old_and_new(project)

    assert tempkeep("temp-clean", "--max-age-hours", "24", "--format", "json") == 0

    document = check_report(json.loads(capsys.readouterr().out))
    told = document["projects"][0]
    assert (document["schema"], document["kind"], document["dry_run"]) == (1, "clean", False)
    assert [(each["path"], each["status"]) for each in told["entries"]] == [
        ("debug/old_1696348800", "done")
    ]
    assert [each["path"] for each in told["kept"]] == ["debug/new_1696348800"]
    assert told["freed_bytes"] == told["entries"][0]["freed_bytes"] == 8192


def test_leftovers_of_a_killed_clean_are_finished_and_told(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", ".tempkeep/holding/0123456789abcdef")

    assert tempkeep("temp-clean", "--dry-run") == 0
    assert "would finish 1 left by a clean that was killed" in capsys.readouterr().out
    assert tempkeep("temp-clean") == 0
    assert "finished 1 left by a clean that was killed" in capsys.readouterr().out

    assert listing(project / ".tmp" / ".tempkeep" / "holding") == []


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    command = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m common.temp temp-clean'

    done = run(["sh", "-c", command, sys.executable], cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        "error: the working directory is gone: No such file or directory; "
        "change to one that exists\n"
    )

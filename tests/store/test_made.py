"""`clean` without version control: only removes what a tool certainly made."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.temp.commands import artefact_drafts as commands
from common.temp.store.artefacts import artefacts
from common.temp.store.artefacts.finding import TAKES_UNSURE, find_artefacts
from common.temp.store.artefacts.presets import chosen
from common.temp.store.project import tracked
from common.temp.store.project.tracked import Tracked
from common.temp.store.trees.removed import Removed
from tests.store.children import until
from tests.support import have_git_ignore, inv, listing, make_entry, run, tempkeep

Printed = pytest.CaptureFixture[str]

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b")
HEAD = importlib.util.MAGIC_NUMBER + bytes(12)
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"
METADATA = "Metadata-Version: 2.1\nName: app\nVersion: 1\n"


def git(directory: Path, *arguments: str) -> None:
    command = ["git", *IDENTITY, "-c", "protocol.file.allow=always", *arguments]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def write(top: Path, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        target = top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def zipped(*members: str) -> bytes:
    """A zip, each member of which has metadata in it."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for member in members:
                archive.writestr(member, METADATA)
        return file.getvalue()


def hand_written(project: Path) -> list[str]:
    """Directories that are called as artefacts are, with somebody's work; what they hold."""
    write(
        project,
        {
            "build/Makefile.in": "all:\n",
            "dist/code.py": "code\n",
            "docs/build/index.rst": "text\n",
            "htmlcov/index.html": "<p>mine</p>",
        },
    )
    return kept(project)


def kept(project: Path) -> list[str]:
    return [
        path
        for path in listing(project)
        if path.startswith(("build/", "dist/", "docs/", "htmlcov/")) and (project / path).is_file()
    ]


# -- what goes ------------------------------------------------------------------------------------

TOOLS = (
    ("-c", "import setuptools; setuptools.setup()", "-q", "build", "sdist"),
    ("-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:tempkeep", "src/app"),
    ("-m", "coverage", "html", "-q"),
    ("-m", "ruff", "check", "-q", "."),
    ("-m", "compileall", "-q", "src"),
)


def test_what_real_tools_made_goes_without_any_version_control(project: Path) -> None:
    for name in ("setuptools", "coverage", "ruff"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    write(
        project,
        {
            "pyproject.toml": '[project]\nname = "My.App"\nversion = "1"\n',
            "src/app/__init__.py": "",
            "src/app/test_app.py": "def test_app(): pass\n",
        },
    )
    before = listing(project)
    for tool in TOOLS:
        done = run([sys.executable, *tool], cwd=project, PYTEST_ADDOPTS="")
        assert done.returncode == 0, done.stderr
    made = set(listing(project)) - set(before)
    assert {".coverage", ".pytest_cache", ".ruff_cache", "build", "dist", "htmlcov"} <= made

    assert tempkeep("clean") == 0

    assert [path for path in listing(project) if not path.startswith(".tmp")] == before


CERTAIN: dict[str, dict[str, str | bytes]] = {
    "a compiled module without its source": {"__pycache__/a.cpython-311.pyc": HEAD},
    "one of another python, with its source": {"a.py": "", "__pycache__/a.pypy39.pyc": b"?"},
    "a cache by its tag": {".mypy_cache/CACHEDIR.TAG": TAG, ".mypy_cache/3.11/a.data.json": "{}"},
    "the rest of a cache that a killed clean left": {
        ".pytest_cache/v/cache/nodeids": "[]",
        ".ruff_cache/0.1.2/123": "x",
    },
    "an old cache of mypy": {".mypy_cache/3.11/os/path.meta.json": "{}"},
    "a build with the tag of a cache": {"build/CACHEDIR.TAG": TAG, "build/x.o": "x"},
    "an empty build": {"build/deep/er/.": b""},
    "a release as a zip": {
        "pyproject.toml": '[project]\nname = "app"\n',
        "dist/app-1.zip": zipped("app-1/PKG-INFO"),
    },
    "egg-info of a file": {"app.egg-info": METADATA},
    "data of an old coverage": {".coverage": "!coverage.py: This is a private format, don't"},
    "what was configured": {
        "pyproject.toml": '[tool.tempkeep]\nartefacts = ["out/", "*.log"]\n',
        "out/page.html": "<p>",
        "run.log": "x",
    },
}


@pytest.mark.parametrize("files", CERTAIN.values(), ids=CERTAIN)
def test_what_certainly_was_made_goes(project: Path, files: dict[str, str | bytes]) -> None:
    write(project, {path: text for path, text in files.items() if not path.endswith("/.")})
    for path in files:
        if path.endswith("/."):
            (project / path).mkdir(parents=True)

    assert tempkeep("clean") == 0

    left = [path for path in listing(project) if not path.startswith(".tmp")]
    assert left == sorted({"pyproject.toml", "tasks.py"} | ({"a.py"} & files.keys()))


# -- what stays -----------------------------------------------------------------------------------

WITH_EGG_INFO: dict[str, str | bytes] = {
    "app.egg-info/PKG-INFO": METADATA,
    "app.egg-info/SOURCES.txt": "app/__init__.py\n",
    "app.egg-info/top_level.txt": "app\n",
}
UNSURE: dict[str, dict[str, str | bytes]] = {
    "a source among compiled modules": {
        "__pycache__/a.cpython-311.pyc": HEAD,
        "__pycache__/work.py": "x",
    },
    "something that is only called a compiled module": {"__pycache__/thesis.pyc": "text"},
    "a directory among compiled modules": {"__pycache__/deep/a.cpython-311.pyc": HEAD},
    "a cache of pytest that is none": {".pytest_cache/x": "x"},
    "a cache of mypy with notes": {".mypy_cache/3.11/notes.txt": "x"},
    "a cache of pytest with notes": {".pytest_cache/v/notes.txt": "x"},
    "a cache of ruff without its tag": {".ruff_cache/0.1/x": "x"},
    "a cache with a wrong tag": {".ruff_cache/CACHEDIR.TAG": "Signature: mine\n"},
    "an egg-info with notes": {**WITH_EGG_INFO, "app.egg-info/notes.txt": "x"},
    "an egg-info without metadata": {"app.egg-info/SOURCES.txt": "x\n"},
    "a build with a file of no source": {**WITH_EGG_INFO, "build/lib/app/mine.py": "x"},
    "a build with a file of another package": {**WITH_EGG_INFO, "build/lib/tool/__init__.py": "x"},
    "a build with a copy whose source is gone": {
        **WITH_EGG_INFO,
        "build/lib/app/__init__.py": "x",
    },
    "a build with a copy that was changed": {
        **WITH_EGG_INFO,
        "app/__init__.py": "x",
        "build/lib/app/__init__.py": "y",
    },
    "a build with a library that was a source": {
        **WITH_EGG_INFO,
        "app.egg-info/SOURCES.txt": "app/__init__.py\napp/libvendor.so\n",
        "build/lib/app/libvendor.so": "x",
    },
    "a build with a model that a compiler is not known to make there": {
        **WITH_EGG_INFO,
        "build/lib/app/ship.obj": "x",
    },
    "a build of another shape": {**WITH_EGG_INFO, "build/Makefile": "x"},
    "a build without an egg-info": {"build/lib/app/__init__.py": ""},
    "a dist of another project": {"dist/other-1.tar.gz": b"\x1f\x8b"},
    "a dist with what is no archive": {
        "pyproject.toml": '[project]\nname = "app"\n',
        "dist/app-1.tar.gz": "text",
    },
    "a dist with a zip that was made by hand": {
        "pyproject.toml": '[project]\nname = "app"\n',
        "dist/app-20260105.zip": zipped("january.txt", "app/app.egg-info/PKG-INFO"),
    },
    "a report with notes": {
        "htmlcov/.gitignore": "# Created by coverage.py\n*\n",
        "htmlcov/index.html": "<a>coverage.py v7.6</a>",
        "htmlcov/notes.html": "<p>mine",
    },
    "a directory called as coverage's data": {".coverage/x": "x"},
    "other data": {".coverage": "SQLite format 3\0 my own"},
    "a hand-made report": {"htmlcov/index.html": "<p>"},
    "a configured directory with source": {
        "pyproject.toml": '[tool.tempkeep]\nartefacts = ["out/"]\n',
        "out/deep/work.py": "x",
    },
}


@pytest.mark.parametrize("files", UNSURE.values(), ids=UNSURE)
def test_what_may_be_hand_written_stays_and_is_listed_with_the_flag_that_takes_it(
    project: Path, capsys: Printed, files: dict[str, str | bytes]
) -> None:
    write(project, files)
    (artefact,) = (
        {path.partition("/")[0] for path in files}
        - {"pyproject.toml", "app"}
        - ({"app.egg-info"} if any(path.startswith("build") for path in files) else set())
    )
    before = listing(project / artefact)

    assert tempkeep("clean", "--dry-run") == tempkeep("clean") == 0

    out = capsys.readouterr().out
    assert out.count(f"kept {artefact}: ") == 2
    assert out.count("there is no version control; --include-unsure takes it\n") == 2
    assert (project / artefact).exists()
    assert listing(project / artefact) == before
    assert tempkeep("clean", "--include-unsure") == 0
    assert not (project / artefact).exists()


def test_a_link_and_a_fifo_are_of_no_tool(project: Path, tmp_path: Path) -> None:
    write(tmp_path, {"outside/a.cpython-311.pyc": HEAD})
    (project / "src").mkdir()
    (project / "__pycache__").symlink_to(tmp_path / "outside")
    (project / "src" / "__pycache__").mkdir()
    os.mkfifo(project / "src" / "__pycache__" / "a.cpython-311.pyc")
    os.mkfifo(project / ".coverage")

    assert inv("clean", cwd=project).returncode == 0

    assert (project / "__pycache__").is_symlink()
    assert stat.S_ISFIFO((project / ".coverage").lstat().st_mode)
    assert listing(project / "src" / "__pycache__") == ["a.cpython-311.pyc"]


# -- a version control that cannot be asked -------------------------------------------------------


@pytest.mark.parametrize(
    "marker",
    [".hg/", ".svn/", ".jj/", ".bzr/", ".pijul/", "_darcs/", "CVS/", ".fslckout", "_FOSSIL_"],
)
@pytest.mark.parametrize("above", [False, True])
def test_another_version_control_is_as_good_as_none(
    project: Path, capsys: Printed, marker: str, above: bool
) -> None:
    write(project.parent if above else project, {marker + "x" if "/" in marker else marker: ""})
    before = hand_written(project)
    write(project, {"__pycache__/a.cpython-311.pyc": HEAD})

    assert tempkeep("clean") == 0

    assert kept(project) == before
    assert not (project / "__pycache__").exists()
    assert " is not asked; --include-unsure takes it" in capsys.readouterr().out


@needs_git
@pytest.mark.parametrize("marker", [".hg/x", ".jj/x"])
def test_git_beside_another_version_control_does_not_know_all(project: Path, marker: str) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    before = hand_written(project)
    write(project, {marker: ""})

    assert tempkeep("clean") == 0

    assert kept(project) == before


def _no_index(project: Path) -> None:
    (project / ".git" / "index").unlink()


def _corrupt(project: Path) -> None:
    (project / ".git" / "index").write_bytes(b"garbage")


def _to_nowhere(project: Path) -> None:
    shutil.rmtree(project / ".git")
    (project / ".git").write_text("gitdir: /nowhere\n")


def _to_itself(project: Path) -> None:
    shutil.rmtree(project / ".git")
    (project / ".git").symlink_to(".git")


def _of_somebody_else(project: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    for path in (project, project / ".git"):
        os.chown(path, 12345, 12345)


def _another_tree(project: Path) -> None:
    (project.parent / "other").mkdir()
    git(project, "config", "core.worktree", "../../other")


def _headless(project: Path) -> None:
    git(project, "commit", "-qm", "x")
    shutil.rmtree(project / ".git" / "objects")
    (project / ".git" / "objects").mkdir()


BROKEN = (_no_index, _corrupt, _to_nowhere, _to_itself, _of_somebody_else, _another_tree, _headless)


@needs_git
@pytest.mark.parametrize("harm", BROKEN, ids=lambda harm: harm.__name__.strip("_"))
def test_a_git_that_cannot_tell_keeps_what_it_may_track(
    project: Path, capsys: Printed, harm: object
) -> None:
    before = hand_written(project)
    entry = make_entry(project, ".tmp/debug/a_1696348800")
    git(project, "init", "-q")
    git(project, "add", "-f", ".")
    assert callable(harm)
    harm(project)
    write(project, {"__pycache__/a.cpython-311.pyc": HEAD})

    assert tempkeep("clean") == 0

    assert kept(project) == before
    assert not (project / "__pycache__").exists()
    # Scratch may be tracked as well, where a git is there and does not answer.
    assert entry.exists() == ("kept debug/a_1696348800: " in capsys.readouterr().out)
    assert entry.exists() or harm is _no_index


@needs_git
@pytest.mark.parametrize("change", ["rm --cached", "no index", "orphan"])
def test_what_the_last_commit_has_is_tracked_whatever_the_index_says(
    project: Path, change: str
) -> None:
    before = hand_written(project)
    git(project, "init", "-q")
    git(project, "add", "-f", ".")
    git(project, "commit", "-qm", "x")
    if change == "no index":
        _no_index(project)
    elif change == "orphan":
        git(project, "checkout", "-q", "--orphan", "new")
    if change != "no index":
        git(project, "rm", "-rq", "--cached", ".")

    assert tempkeep("clean") == 0

    assert kept(project) == before


ONLY = "git ignores it only by the rule "
NOT = "git does not ignore it"
RULES = {
    **dict.fromkeys(("build/", "/build", "**/build/", "build*/", "[Bb]uild", "*\nbuild/"), ""),
    "build/\n!build\n/build\n!*/keep\n!dist/keep\n!build-x/keep": "",
    **{rule: ONLY + rule for rule in ("*", "/*", "**", "**/", "*/", "?*", "[!x]*", "[/ab]*", "b*")},
    "build\n*": f"{ONLY}*",
    "*\n!.gitignore": f"{ONLY}*",
    "*.*\n/**/*": f"{ONLY}/**/*",
    **dict.fromkeys(("build/*", "build/**", "*.c", "", "build/\n!build/", "*\n!*/"), NOT),
    "build/\n!build/keep": "{}/.gitignore has !build/keep",
    "/build\n!/bu*/**/*.md": "{}/.gitignore has !/bu*/**/*.md",
}
"""Rules for git beside a `build`, and why git is not believed about it; "" if it is."""

TRACKED = {"assumed": "--assume-unchanged", "sparse": "--skip-worktree", "intended": ""}
SUBMODULE = "git takes libs/sub for a submodule or a file"


@needs_git
def test_git_is_believed_only_about_what_an_ignore_rule_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_git_ignore(("mine/build", "spared/build"), project.parent, monkeypatch)
    odd = ":(top)a[b]*?\n"
    expected = {f"{at}/build": why.format(at) for at, why in enumerate(RULES.values())}
    expected |= dict.fromkeys((f"{odd}/build", "excluded/build", "mine/build", "x/y/build"), "")
    expected |= {"spared/build": "spared/.gitignore has !build/*.c"}
    expected |= {"x/own/build": "x/own/build/.gitignore has !keep.csv"}
    expected |= {"x/z/build": f"{ONLY}/z/*", "above/target": f"{ONLY}above/", "0/target": ""}
    expected |= dict.fromkeys(("above/build", "above/mine/build"), f"{ONLY}above/")
    expected |= {f"libs/sub/{name}": SUBMODULE for name in ("build", "target")}
    rules = {f"{at}/.gitignore": f"{rule}\ntarget" for at, rule in enumerate(RULES)}
    rules |= {"x/.gitignore": "/y/build/\n/own/build/\n/z/*\n", f"{odd}/.gitignore": "build/\n"}
    rules |= {
        "spared/.gitignore": "!build/*.c\n",
        ".gitignore": "above/\n",
        "above/README": "",
        "above/.gitignore": "build",
    }
    git(project, "init", "-q")
    write(project, {**rules, ".git/info/exclude": "excluded/build\n"})
    git(project, "add", "-f", ".")
    git(project, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/sub")
    for place, flag in TRACKED.items():
        path = f"{place}/build/x.c"
        write(project, {path: "x"})
        git(project, "add", "-f", *(() if flag else ("--intent-to-add",)), path)
        git(project, "update-index", *((flag,) if flag else ()), path)
        expected |= {f"{place}/build": f"git tracks {path}"}
    caches = [f"{place}/__pycache__" for place in ("above", "libs/sub")]
    inner = ("above/lib/build", "libs/sub/src/build", "libs/sub/src/deep/app/build")
    write(project, {f"{path}/x.c": "x" for path in (*expected, *inner)})
    write(project, {f"{path}/../pyproject.toml": "" for path in inner})
    write(project, {f"{place}/Cargo.toml": "" for place in ("0", "above", "libs/sub")})
    write(project, {f"{path}/x.cpython-311.pyc": HEAD for path in caches})
    write(project, {"libs/sub/.gitignore": "build\ntarget"})
    write(project, {"x/own/build/.gitignore": "*\n!.gitignore\n!keep.csv\n"})
    write(project, {"x/y/build/.gitignore": "*\n!.gitignore\n"})
    expected |= dict.fromkeys(caches, "")

    presets = chosen(["python", "rust"])
    found = find_artefacts(project, (), Tracked(project), presets=presets)
    why = {one.path: one.kept for one in found}

    doubts = {path: said.partition(", and ")[2] or said for path, said in why.items()}
    assert {
        path: said.removesuffix(f"; {TAKES_UNSURE}") for path, said in doubts.items()
    } == expected
    for path in inner:
        own = (project / path).parent
        assert find_artefacts(own, ("build",), Tracked(own))[0].kept.endswith(TAKES_UNSURE)
    monkeypatch.setenv("TEMPKEEP_PRESETS", "rust")
    assert tempkeep("clean") == 0
    assert {path for path in expected if (project / path).exists()} == {*filter(why.get, why)}


@needs_git
@pytest.mark.parametrize("added", [True, False])
def test_what_comes_into_an_artefact_while_others_go_stays(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch, added: bool
) -> None:
    write(project, {".gitignore": "build/\n", "a/build/x.o": "x", "b/build/x.o": "x"})
    git(project, "init", "-q")
    git(project, "add", ".")
    remove = artefacts.remove_artefact

    def working(top: int, path: str) -> Removed:
        write(project, {"b/build/work.py": "x"})
        if added:
            git(project, "add", "-f", "b/build/work.py")
        else:
            write(project, {"b/.gitignore": "!build\n"})
        return remove(top, path)

    monkeypatch.setattr(commands, "remove_artefact", working)
    if not added:
        monkeypatch.setattr(tracked, "_STALE_SECONDS", 0.0)

    assert tempkeep("clean") == 0

    out = capsys.readouterr().out
    assert ("git tracks b/build/work.py by now" if added else f"and {NOT}") in out
    assert not (project / "a/build").exists()
    assert (project / "b/build/work.py").exists()


@needs_git
@pytest.mark.parametrize("marker", [".hg/x", ".jj/x", ".svn/x", "_darcs/x", "CVS/x", ".fslckout"])
def test_a_work_tree_of_another_version_control_on_the_way_is_no_part_of_the_project(
    project: Path, marker: str
) -> None:
    write(project, {".gitignore": "build/\n/vendor/\n", "vendor/other/build/x.o": "x"})
    git(project, "init", "-q")
    git(project, "add", ".")
    write(project, {f"vendor/lib/{marker}": "", "vendor/lib/src/build/x.py": "x"})

    assert tempkeep("clean", "--include-unsure") == 0

    assert (project / "vendor/lib/src/build/x.py").exists()
    assert not (project / "vendor/other/build").exists()


@pytest.mark.parametrize("marker", ["CVS", ".svn"])
def test_a_directory_of_the_same_work_tree_is_entered(project: Path, marker: str) -> None:
    write(project, {f"{marker}/x": "", f"src/{marker}/x": ""})
    write(project, {"src/__pycache__/a.cpython-311.pyc": HEAD})

    assert tempkeep("clean") == 0

    assert not (project / "src/__pycache__").exists()


@needs_git
def test_a_git_that_tracks_nothing_here_tells_nothing(project: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, {"dotfile": "x", ".gitignore": "*\n"})
    git(tmp_path, "add", "-f", "dotfile")
    before = hand_written(project)

    assert tempkeep("clean") == 0

    assert kept(project) == before


@needs_git
def test_a_git_that_hangs_is_ended_with_what_it_started(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.temp.store.system import git as asking

    monkeypatch.setattr(asking, "_SECONDS", 0.3)
    write(project, {"bin/git": "#!/bin/sh\nsleep 3456 & echo $! > ../pid\nwait\n", ".git/x": ""})
    (project / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}")
    before = hand_written(project)

    assert tempkeep("clean") == 0

    assert kept(project) == before
    pid = int((project.parent / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}/cwd").exists(), "ended")


@needs_git
def test_no_variable_and_no_setting_of_a_repository_leads_git_elsewhere(
    project: Path, tmp_path: Path
) -> None:
    before = hand_written(project)
    write(tmp_path, {"other/x": "x"})
    git(tmp_path / "other", "init", "-q")
    git(tmp_path / "other", "add", "x")
    git(project, "init", "-q")
    git(project, "add", "-f", ".")
    ran = tmp_path / "ran"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(hook))
    other = str(tmp_path / "other")
    for leading in (
        {"GIT_DIR": f"{other}/.git"},
        {"GIT_WORK_TREE": other},
        {"GIT_INDEX_FILE": f"{other}/.git/index"},
        {"GIT_NAMESPACE": "x", "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree", "GIT_CONFIG_VALUE_0": other},
        {"GIT_CONFIG_PARAMETERS": f"'core.worktree={other}'"},
    ):
        assert inv("clean", cwd=project, **leading).returncode == 0
        assert kept(project) == before, leading
    assert not ran.exists()


# -- equal names, repositories inside, patterns ---------------------------------------------------


@needs_git
def test_what_is_work_in_other_letters_stays_where_they_are_equal(tmp_path: Path) -> None:
    tools = ("mkntfs", "lowntfs-3g", "mount", "umount")
    if os.geteuid() != 0 or not all(map(shutil.which, tools)):
        pytest.skip("needs root, mkntfs and lowntfs-3g")
    image, place = tmp_path / "image", tmp_path / "ntfs"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    place.mkdir()
    assert run(["mkntfs", "-q", "-F", str(image)], cwd=tmp_path).returncode == 0
    done = run(["lowntfs-3g", "-o", "ignore_case", str(image), str(place)], cwd=tmp_path)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        project = place / "project"
        write(project, {"pyproject.toml": "", "build/work.c": "x", "dist/x": "x"})
        write(project, {".gitignore": "dist/\nhtmlcov/\n"})
        git(project, "init", "-q")
        git(project, "init", "-q", "--bare", "htmlcov/sub/x.git")
        git(project, "config", "core.ignorecase", "false")
        git(project, "update-index", "--add", "--cacheinfo", f"100644,{'1' * 40},Build/work.c")

        done = run([sys.executable, "-m", "common.temp", "clean"], cwd=project)

        assert "kept build: git tracks Build/work.c" in done.stdout, done
        assert "kept htmlcov: it holds the bare repository sub/x.git" in done.stdout, done
        assert (project / "build" / "work.c").exists()
        assert not (project / "dist").exists()
    finally:
        run(["umount", "--lazy", str(place)], cwd=tmp_path)


@needs_git
def test_a_repository_in_an_artefact_is_work_whatever_its_kind(
    project: Path, capsys: Printed
) -> None:
    git(project, "init", "-q")
    git(project, "add", ".")
    write(project, {"mirrors/x": "", "build/deep/x": "", "docs/build/x.fossil": "x"})
    git(project, "init", "-q", "--bare", "build/deep/mirror.git")
    git(project, "init", "-q", "--bare", "dist")
    git(project, "init", "-q", "--bare", "mirrors/a.git")
    write(project, {"mirrors/a.git/refs/heads/build/branch": "0" * 40})
    for index, name in enumerate((".hg", ".svn", ".jj", ".bzr", ".pijul", "_darcs", "CVS")):
        write(project, {f"src/{index}/build/{name}/x": "", f"src/{index}/build/work.c": "x"})
    before = listing(project)

    assert tempkeep("clean", "--include-unsure") == 0

    out = capsys.readouterr().out
    assert "deleted build" not in out
    assert "kept build: it holds the bare repository deep/mirror.git" in out
    assert "kept dist: it is a bare repository" in out
    assert [path for path in listing(project) if not path.startswith(".tmp")] == before


def test_a_clone_that_came_to_be_while_other_artefacts_went_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    for name in ("build", "dist"):
        make_entry(project, name)
    remove = artefacts.remove_artefact

    def cloned(top: int, path: str) -> Removed:
        write(project, {"dist/clone/.git/HEAD": "ref: refs/heads/main"})
        return remove(top, path)

    monkeypatch.setattr(commands, "remove_artefact", cloned)

    assert tempkeep("clean", "--include-unsure") == 0

    assert "kept dist: it holds clone/.git" in capsys.readouterr().out
    assert (project / "dist" / "file0.txt").exists()
    assert not (project / "build").exists()


SOURCE_PATTERNS = ["*", "**", "src", "/src/", "s*", "*.py", "[!x]*", "src/*", "*/*", "**/*.py"]


@needs_git
@pytest.mark.parametrize("in_git", [False, True])
def test_a_pattern_that_matches_source_is_refused(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch, in_git: bool
) -> None:
    files = ("src/app/__init__.py", "tests/test_x.py", "app/__init__.py", "data/x", "Makefile")
    write(project, dict.fromkeys(files, ""))
    patterns = [*SOURCE_PATTERNS, "app/", "*.toml", ".*", "tests/", "M*"]
    if in_git:
        git(project, "init", "-q")
        git(project, "add", ".")
        patterns += ["data", "dat?/*"]
    before = listing(project)
    for pattern in patterns:
        monkeypatch.setenv("TEMPKEEP_ARTEFACTS", f"build/,{pattern}")
        assert tempkeep("clean", "--include-unsure") == 2, pattern
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(f"error: {project}: artefacts: {pattern!r} matches ")
        assert printed.err.count("\n") == 1
    assert listing(project) == before


@needs_git
def test_a_package_that_is_called_as_an_artefact_is_source(project: Path) -> None:
    """Its author may not have noticed that the usual rule for `build/` ignores it."""
    files = ("src/app/__init__.py", "src/app/build/core.py", "tools/dist/__init__.py", "build/x.o")
    packages = "internal/build/build.go", "web/src/build/index.ts", "a/b/dist/A.java"
    others = ("native/src/build/graph.cpp", "tools/build/release.sh", "lib/app/build/plan.rb")
    built = ("web/dist/index.d.ts", "web/dist/index.js", "c/build/config.h", "build/x.py")
    every = (*files, *packages, *others, *built)
    write(
        project, {".gitignore": "build/\ndist/\n", "__init__.py": "", **dict.fromkeys(every, "x")}
    )
    git(project, "init", "-q")
    git(project, "add", "-A")

    assert tempkeep("clean") == 0

    assert (project / "src" / "app" / "build" / "core.py").exists()
    assert (project / "tools" / "dist" / "__init__.py").exists()
    assert all((project / path).exists() for path in (*packages, *others))
    assert not any((project / path).parent.exists() for path in built)

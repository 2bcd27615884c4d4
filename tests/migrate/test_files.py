"""Which files a run reads, and when it refuses to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.temp.errors import InvalidSettings, Refused
from common.temp.migrate.files import check_clean, find_grounds
from tests.migrate.trees import SITE, changed, committed, git, write


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def selected(path: Path) -> list[str]:
    """The Python files that a run over `path` looks at."""
    (ground,) = find_grounds([str(path)])
    return [name for name in ground.selected if name.endswith(".py")]


def test_files_that_git_knows_and_files_that_it_would_add_are_looked_at(top: Path) -> None:
    committed(top, {"a.py": SITE, "lib/b.py": SITE})
    write(top, {"new.py": SITE})

    assert changed(top) == ["a.py", "lib/b.py", "new.py"]


def test_files_that_git_ignores_are_not(top: Path) -> None:
    committed(top, {".gitignore": ".tmp/\n.temp/\nbuild/\n*.gen.py\n"})
    write(top, {"build/a.py": SITE, "b.gen.py": SITE})

    assert changed(top) == []


def test_files_that_are_named_although_git_ignores_them_are(top: Path) -> None:
    committed(top, {".gitignore": ".tmp/\n.temp/\nbuild/\n", "c.py": SITE})
    write(top, {"build/a.py": SITE})

    (ground,) = find_grounds([str(top / "build")])

    assert (ground.selected, ground.git) == (("a.py",), False)


@pytest.mark.parametrize("word", ["linguist-generated", "linguist-vendored=true"])
def test_files_that_the_attributes_of_git_call_foreign_are_not(top: Path, word: str) -> None:
    attributes = f"cases/** {word}\ncases/ours.py -{word.partition('=')[0]}\n"
    files = dict.fromkeys(["a.py", "cases/b.py", "cases/deep/c.py", "cases/ours.py"], SITE)
    committed(top, {".gitattributes": attributes, **files})

    assert selected(top) == ["a.py", "cases/ours.py"]
    assert selected(top / "cases") == ["cases/ours.py"]


def test_a_file_that_is_named_is_looked_at_although_the_attributes_call_it_foreign(
    top: Path,
) -> None:
    committed(top, {".gitattributes": "* linguist-generated\n", "a.py": SITE, "b.py": SITE})

    assert selected(top / "a.py") == ["a.py"]


def test_submodules_are_not(top: Path, tmp_path: Path) -> None:
    other = committed(tmp_path / "other", {"a.py": SITE})
    committed(top, {"b.py": SITE})
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")

    assert (top / "sub" / "a.py").is_file()
    assert changed(top) == ["b.py"]


def test_other_work_trees_inside_are_not(top: Path) -> None:
    committed(top, {"b.py": SITE})
    committed(top / "clone", {"a.py": SITE})

    assert changed(top) == ["b.py"]


@pytest.mark.parametrize("under_git", [True, False])
def test_links_are_not_followed(top: Path, tmp_path: Path, under_git: bool) -> None:
    outside = write(tmp_path / "outside", {"a.py": SITE})
    (committed if under_git else write)(top, {"x.txt": ""})
    (top / "link.py").symlink_to(outside / "a.py")
    (top / "linked").symlink_to(outside)

    assert changed(top) == []


def test_without_git_environments_caches_and_hidden_directories_are_not(top: Path) -> None:
    write(
        top,
        {
            "a.py": SITE,
            "stuff/pyvenv.cfg": "",
            "stuff/lib/b.py": SITE,
            "node_modules/c.py": SITE,
            ".hidden/d.py": SITE,
            "__pycache__/e.py": SITE,
        },
    )

    assert changed(top) == ["a.py"]


def test_a_part_of_a_tree_is_looked_at_alone_but_known_within_the_whole(top: Path) -> None:
    committed(top, {"a.py": SITE, "lib/b.py": SITE})

    (ground,) = find_grounds([str(top / "lib")])

    assert ground.selected == ("lib/b.py",)
    assert "a.py" in ground.files


def test_a_single_file_may_be_named_and_need_not_end_with_py(top: Path) -> None:
    committed(top, {"a.py": SITE, "tool": SITE})

    (ground,) = find_grounds([str(top / "tool"), str(top / "a.py")])

    assert ground.selected == ("a.py", "tool")


def test_a_file_that_is_reached_by_two_paths_is_looked_at_once(top: Path) -> None:
    write(top, {"a.py": SITE, "lib/b.py": SITE})

    grounds = find_grounds([str(top), str(top / "lib"), str(top / "lib" / "b.py"), str(top)])

    assert [path for ground in grounds for path in ground.selected] == ["a.py", "lib/b.py"]


def test_a_path_that_is_not_there_is_an_error_that_names_it(top: Path) -> None:
    with pytest.raises(InvalidSettings, match="nowhere does not exist"):
        find_grounds([str(top / "nowhere")])


def test_the_settings_of_a_git_hook_do_not_lead_elsewhere(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = committed(tmp_path / "other", {"a.py": SITE})
    committed(top, {"b.py": SITE})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    assert changed(top) == ["b.py"]


# -- writing --------------------------------------------------------------------------------------


def test_a_clean_tree_may_be_written(top: Path) -> None:
    committed(top, {"a.py": SITE})

    check_clean(find_grounds([str(top)])[0])


@pytest.mark.parametrize("change", ["changed", "staged", "untracked", "deleted"])
def test_a_tree_with_changes_may_not(top: Path, change: str) -> None:
    committed(top, {"a.py": SITE, "b.py": "x = 1\n"})
    if change == "deleted":
        (top / "b.py").unlink()
    else:
        write(top, {"new.py" if change == "untracked" else "b.py": "x = 2\n"})
    if change == "staged":
        git(top, "add", "-A")

    with pytest.raises(Refused, match=r"not committed \((b|new)\.py\).*--allow-dirty"):
        check_clean(find_grounds([str(top)])[0])


def test_a_change_outside_of_the_path_counts_too(top: Path) -> None:
    committed(top, {"a.py": SITE, "lib/b.py": SITE})
    write(top, {"a.py": "x = 2\n"})

    with pytest.raises(Refused, match=r"a\.py"):
        check_clean(find_grounds([str(top / "lib")])[0])


def test_what_git_ignores_does_not_count(top: Path) -> None:
    committed(top, {".gitignore": "*.log\n", "a.py": SITE})
    write(top, {"run.log": "x"})

    check_clean(find_grounds([str(top)])[0])


@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
def test_what_git_was_told_not_to_look_at_may_not(top: Path, how: str) -> None:
    committed(top, {"a.py": SITE, "b.py": SITE})
    git(top, "update-index", how, "b.py")
    write(top, {"b.py": f"{SITE}# only here\n"})

    with pytest.raises(Refused, match=r"not to look for changes in b\.py .*--allow-dirty"):
        check_clean(find_grounds([str(top)])[0])


def test_a_tree_without_version_control_may_not_be_written(top: Path) -> None:
    write(top, {"a.py": SITE})

    with pytest.raises(Refused, match="not under version control"):
        check_clean(find_grounds([str(top)])[0])

"""Work that git has only in an entry keeps it; no program of a repository is run to check."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.policy import Policy
from common.temp.jobs import StorageRoot
from common.temp.store.repositories import repository
from common.temp.store.sweep.abandoned import ABANDONED
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import at
from tests.store.repositories import check_that_they_go, clone, commit, git, make_origin
from tests.support import (
    EVERYTHING,
    HOUR,
    age,
    inv,
    listing,
    make_entry,
    make_project,
    outcomes,
    run,
    scanned,
    status,
    swept,
)

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits and a tag, from which others are cloned."""
    return make_origin(tmp_path / "origin")


def changed(there: Path) -> None:
    (there / "a").write_text("changed")


def changed_and_skipped(there: Path) -> None:
    changed(there)
    git(there, "update-index", "--skip-worktree", "a")


def untracked(there: Path) -> None:
    (there / "new").write_text("new")


def staged_and_untracked(there: Path) -> None:
    (there / "b").write_text("staged")
    git(there, "add", "b")
    untracked(there)


def stashed(there: Path) -> None:
    changed(there)
    git(there, "stash", "-q")


def detached(there: Path) -> None:
    git(there, "checkout", "-q", "--detach")
    commit(there)


def on_a_branch(there: Path) -> None:
    git(there, "checkout", "-q", "-b", "topic")
    commit(there)
    commit(there)
    git(there, "checkout", "-q", "main")


def on_a_tag_alone(there: Path) -> None:
    """Of a branch that is deleted, as one does to keep an experiment."""
    detached(there)
    git(there, "tag", "mine")
    git(there, "checkout", "-q", "main")


def tagged_in_a_linked_work_tree_that_is_gone(there: Path) -> None:
    """No log names what was committed there any more."""
    linked = there.parent / "linked"
    git(there, "worktree", "add", "-q", "--detach", "../linked")
    commit(linked)
    git(linked, "tag", "-m", "mine", "mine")
    git(there, "worktree", "remove", "../linked")


def tagged_so_and_packed(there: Path) -> None:
    tagged_in_a_linked_work_tree_that_is_gone(there)
    git(there, "pack-refs", "--all")


def fetched_from_itself_as_a_tag(there: Path) -> None:
    linked = there.parent / "linked"
    git(there, "worktree", "add", "-q", "-b", "topic", "../linked")
    commit(linked)
    git(there, "-c", "core.logAllRefUpdates=always", "fetch", "-q", ".", "topic:refs/tags/mine")
    git(there, "worktree", "remove", "../linked")
    git(there, "branch", "-q", "-D", "topic")


def in_notes(there: Path) -> None:
    git(there, "notes", "add", "-m", "what I found")


def fetched_from_itself(there: Path) -> None:
    """As one moves a branch forward that is not checked out."""
    git(there, "checkout", "-q", "-b", "topic")
    commit(there)
    git(there, "fetch", "-q", ".", "topic:main")


def its_own_remote(there: Path) -> None:
    commit(there)
    git(there, "remote", "add", "me", ".")
    git(there, "fetch", "-q", "me")


def with_a_mirror_to_push_to(there: Path) -> None:
    commit(there)
    git(there, "remote", "add", "--mirror=push", "backup", "https://example.invalid/x.git")


def put_away_by_a_rebase(there: Path) -> None:
    changed(there)
    editor = "sequence.editor=sed -i 1ibreak"
    git(there, "-c", editor, "rebase", "-q", "-i", "--autostash", "HEAD")


def on_a_reference_of_a_tool(there: Path) -> None:
    changed(there)
    git(there, "add", "a")
    tree = run(["git", "write-tree"], cwd=there).stdout.strip()
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    made = run(["git", *who, "commit-tree", "-m", "x", "-p", "HEAD", tree], cwd=there)
    git(there, "update-ref", "refs/wip/main", made.stdout.strip())
    git(there, "reset", "-q", "--hard")


def in_a_submodule_that_is_checked_out_no_more(there: Path) -> None:
    with_a_submodule(there)
    commit(there / "module")
    git(there, "submodule", "--quiet", "deinit", "--force", "module")


def in_a_submodule_that_is_checked_out_elsewhere(there: Path) -> None:
    url = run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()
    with_a_submodule(there)
    commit(there / "module")
    module, elsewhere = there / ".git" / "modules" / "module", Path(url[7:]).parent / "elsewhere"
    (there / "module").rename(elsewhere)
    (there / "module").mkdir()
    (elsewhere / ".git").write_text(f"gitdir: {module}\n")
    git(module, "config", "core.worktree", str(elsewhere))


def left_to_pick_by_a_rebase(there: Path) -> None:
    """Of commits on no branch: only the files of the rebase name them."""
    git(there, "checkout", "-q", "--detach")
    commit(there)
    editor = "sequence.editor=sed -i 1ibreak"
    git(there, "-c", editor, "rebase", "-q", "-i", "--keep-empty", "origin/main")


def left_to_test_by_a_bisect(there: Path) -> None:
    git(there, "bisect", "start")
    git(there, "bisect", "bad")


def in_snapshots_without_a_commit(there: Path) -> None:
    changed(there)
    git(there, "add", "a")
    tree = run(["git", "write-tree"], cwd=there).stdout.strip()
    git(there, "update-ref", "refs/wip/snapshot", tree)
    git(there, "tag", "contents", f"{tree}:a")
    git(there, "reset", "-q", "--hard")


def with_a_submodule(there: Path) -> None:
    url = run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()
    git(there, "submodule", "--quiet", "add", url, "module")
    git(there, "commit", "-q", "-m", "module")
    git(there, "push", "-q", "origin", "HEAD:with-module")


def in_a_submodule_that_a_clone_has_replaced(there: Path) -> None:
    with_a_submodule(there)
    commit(there / "module")
    shutil.rmtree(there / "module")
    url = run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()
    git(there, "clone", "-q", url, "module")


def in_a_submodule_of_a_linked_work_tree_that_is_gone(there: Path) -> None:
    with_a_submodule(there)
    linked = there.parent / "linked"
    git(there, "worktree", "add", "-q", "--detach", "../linked")
    git(linked, "submodule", "--quiet", "update", "--init")
    commit(linked / "module")
    shutil.rmtree(linked)


def on_a_reference_of_a_linked_work_tree_that_is_gone(there: Path) -> None:
    linked = there.parent / "linked"
    git(there, "worktree", "add", "-q", "--detach", "../linked")
    commit(linked)
    git(linked, "update-ref", "refs/worktree/mine", "HEAD")
    git(linked, "reset", "-q", "--hard", "HEAD~1")
    shutil.rmtree(linked)


def with_a_work_tree_of_a_submodule_elsewhere(there: Path) -> None:
    url = run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()
    with_a_submodule(there)
    elsewhere = Path(url[7:]).parent / "elsewhere"
    git(there / "module", "worktree", "add", "-q", "--detach", str(elsewhere))
    git(there, "submodule", "--quiet", "deinit", "--force", "module")


def with_content_of_git_annex(there: Path) -> None:
    (there / ".git" / "annex" / "objects").mkdir(parents=True)


def without_an_answer(there: Path) -> None:
    (there / ".git" / "HEAD").unlink()


WORK: list[tuple[Callable[[Path], None], str]] = [
    (changed, "1 uncommitted file"),
    (changed_and_skipped, "1 uncommitted file"),
    (untracked, "1 uncommitted file"),
    (staged_and_untracked, "2 uncommitted files"),
    (stashed, "1 stash"),
    (commit, "1 unpushed commit"),
    (detached, "1 unpushed commit"),
    (on_a_branch, "2 unpushed commits"),
    (on_a_tag_alone, "1 unpushed commit"),
    (tagged_in_a_linked_work_tree_that_is_gone, "1 unpushed commit"),
    (tagged_so_and_packed, "1 unpushed commit"),
    (fetched_from_itself_as_a_tag, "1 unpushed commit"),
    (in_notes, "1 unpushed commit"),
    (fetched_from_itself, "1 unpushed commit"),
    (its_own_remote, "1 unpushed commit"),
    (with_a_mirror_to_push_to, "1 unpushed commit"),
    (put_away_by_a_rebase, "1 stash"),
    (on_a_reference_of_a_tool, "1 unpushed commit"),
    (in_a_submodule_that_is_checked_out_no_more, "1 unpushed commit of submodules"),
    (in_a_submodule_that_is_checked_out_elsewhere, "1 unpushed commit of submodules"),
    (left_to_pick_by_a_rebase, "1 unfinished rebase, merge or bisect"),
    (left_to_test_by_a_bisect, "1 unfinished rebase, merge or bisect"),
    (in_snapshots_without_a_commit, "2 unpushed objects"),
    (in_a_submodule_that_a_clone_has_replaced, "1 unpushed commit of submodules"),
    (in_a_submodule_of_a_linked_work_tree_that_is_gone, "1 unpushed commit of submodules"),
    (on_a_reference_of_a_linked_work_tree_that_is_gone, "1 unpushed commit"),
    (with_a_work_tree_of_a_submodule_elsewhere, "1 work tree that is elsewhere"),
    (with_content_of_git_annex, "cannot tell what is only there"),
    (without_an_answer, "cannot tell what is only there"),
]


def test_work_that_is_nowhere_else_keeps_its_entry(root: Path, tmp_path: Path) -> None:
    for do, _ in WORK:
        origin = make_origin(tmp_path / do.__name__ / "origin")
        do(clone(origin, root / "work" / do.__name__ / "deep" / "clone"))
    report = swept(root)
    assert report.outcomes == ()
    found = {verdict.entry.path: verdict.entry.work for verdict in report.plan.kept}
    for do, said in WORK:
        path = f"work/{do.__name__}"
        what = str(found[path])
        assert what.startswith(f"git: {said}"), (path, what)
        assert what.endswith(f"in {path}/deep/clone"), (path, what)
    assert swept(root, Policy(max_age=0)).outcomes == ()
    assert swept(root, Policy(max_total_size=0), sizes=False).done == ()
    assert len(swept(root, Policy(everything=True, spare_work=False)).done) == len(WORK)


def mirror(origin: Path, there: Path) -> None:
    clone(origin, there, "--mirror")


def of_a_tag(origin: Path, there: Path) -> None:
    clone(origin, there, "--depth", "1", "--branch", "v1")


def as_pre_commit_does(origin: Path, there: Path) -> None:
    git(there, "init", "-q")
    git(there, "remote", "add", "origin", f"file://{origin}")
    git(there, "fetch", "-q", "origin", "v1", "--depth=1")
    git(there, "checkout", "-q", "FETCH_HEAD")


def as_uv_does(origin: Path, there: Path) -> None:
    git(there / "db", "init", "-q", "--bare")
    heads = "+refs/heads/*:refs/remotes/origin/*"
    git(there / "db", "fetch", "-q", "--tags", f"file://{origin}", heads)
    git(there, "clone", "-q", "--local", "db", "checkout")
    git(there / "checkout", "reset", "-q", "--hard", "v1")


def with_ignored_files(origin: Path, there: Path) -> None:
    clone(origin, there)
    (there / ".git" / "info" / "exclude").write_text("*.log\n")
    (there / "a.log").write_text("log")


def with_tags_of_no_branch(origin: Path, there: Path) -> None:
    """As a release has that was made on a branch which is deleted."""
    git(origin, "checkout", "-q", "--detach")
    commit(origin)
    git(origin, "tag", "v2")
    git(origin, "checkout", "-q", "main")
    clone(origin, there)
    git(there, "fetch", "-q", "--tags")


def with_tags_of_no_branch_that_were_cloned(origin: Path, there: Path) -> None:
    with_tags_of_no_branch(origin, there.parent / "other")
    clone(origin, there)
    shutil.rmtree(there.parent / "other")


def a_mirror_that_was_fetched_into(origin: Path, there: Path) -> None:
    clone(origin, there, "--mirror")
    on_a_branch(origin)
    git(there, "remote", "update")


def with_its_work_tree_and_repository_apart(origin: Path, there: Path) -> None:
    there.mkdir()
    clone(origin, there / "tree", f"--separate-git-dir={there / 'git'}")


def a_cache_of_uv(origin: Path, there: Path) -> None:
    (there / "sdists-v9").mkdir(parents=True)
    (there / "sdists-v9" / ".git").touch()
    (there / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")


def empty(origin: Path, there: Path) -> None:
    git(there, "init", "-q")


def what_only_looks_so(origin: Path, there: Path) -> None:
    (there / "objects").mkdir(parents=True)
    (there / "HEADER").write_text("x")
    (there / "refs").mkdir()


def test_a_repository_of_which_all_is_elsewhere_goes(root: Path, tmp_path: Path) -> None:
    check_that_they_go(
        root,
        tmp_path,
        [
            clone,
            mirror,
            of_a_tag,
            as_pre_commit_does,
            as_uv_does,
            with_ignored_files,
            with_tags_of_no_branch,
            with_tags_of_no_branch_that_were_cloned,
            a_mirror_that_was_fetched_into,
            with_its_work_tree_and_repository_apart,
            a_cache_of_uv,
            empty,
            what_only_looks_so,
        ],
    )


def test_two_clones_in_an_entry_are_no_remotes_of_each_other(root: Path, origin: Path) -> None:
    first = clone(origin, root / "work" / "both" / "first")
    second = clone(first, root / "work" / "both" / "second")
    commit(second)
    git(first, "remote", "add", "second", "../second")
    git(first, "fetch", "-q", "second")
    git(first, "merge", "-q", "second/main")
    git(second, "fetch", "-q")
    work = scanned(root)["work/both"].work
    assert work == "git: 1 unpushed commit in work/both/first"
    assert swept(root).done == ()


def test_two_entries_are_no_remotes_of_each_other(root: Path, origin: Path) -> None:
    first = clone(origin, root / "work" / "first")
    second = clone(first, root / "work" / "second")
    commit(first)
    git(first, "remote", "add", "second", str(second))
    git(second, "pull", "-q")
    git(first, "fetch", "-q", "second")
    assert scanned(root)["work/first"].work == "git: 1 unpushed commit in work/first"
    swept(root)
    assert first.is_dir()


@pytest.mark.parametrize("where", ["scratch", "elsewhere"])
def test_a_clone_of_what_is_gone_keeps_its_entry(
    root: Path, origin: Path, tmp_path: Path, where: str
) -> None:
    above = root / "work" / "there" if where == "scratch" else tmp_path / where
    clone(origin, above)
    commit(above)
    clone(above, root / "work" / "copy")
    pulled = clone(origin, root / "work" / "pulled")
    git(pulled, "pull", "-q", f"file://{above}", "main")
    shutil.rmtree(above)
    assert swept(root).done == ()
    assert "unpushed commit" in str(scanned(root)["work/copy"].work)
    assert "unpushed commit" in str(scanned(root)["work/pulled"].work)


def test_what_was_pushed_into_a_mirror_keeps_its_entry(
    root: Path, origin: Path, tmp_path: Path
) -> None:
    said = {}
    for number, what in enumerate(("refs/heads/main", "refs/tags/v9", "refs/wip/x")):
        path = f"work/mirror{number}"
        mirror(origin, root / path)
        pushed = clone(root / path, tmp_path / "pushed")
        commit(pushed)
        git(pushed, "push", "-q", "origin", f"HEAD:{what}")
        shutil.rmtree(pushed)
        said[path] = f"git: 1 unpushed commit in {path}"
    assert {path: found.work for path, found in scanned(root).items()} == said
    assert swept(root).outcomes == ()


def test_a_tag_that_was_pushed_into_a_bare_repository_keeps_its_entry(
    root: Path, origin: Path, tmp_path: Path
) -> None:
    git(root / "work" / "server.git", "init", "-q", "--bare")
    git(clone(origin, tmp_path / "pushed"), "push", "-q", str(root / "work" / "server.git"), "v1")
    assert scanned(root)["work/server.git"].work == "git: 1 unpushed commit in work/server.git"
    assert swept(root).outcomes == ()


def test_a_mirror_of_what_is_gone_keeps_its_entry(root: Path, origin: Path) -> None:
    mirror(origin, root / "work" / "mirror")
    shutil.rmtree(origin)
    assert "2 unpushed commits" in str(scanned(root)["work/mirror"].work)
    assert swept(root).outcomes == ()


def stashed_as_a_branch(there: Path) -> None:
    """Which no log names as a commit that was made."""
    changed(there)
    made = run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "stash", "create"], cwd=there)
    git(there, "branch", "wip", made.stdout.strip())
    git(there, "reset", "-q", "--hard")


def tagged_on_no_branch_and_packed(there: Path) -> None:
    commit(there)
    git(there, "tag", "mine")
    git(there, "checkout", "-q", "v1")
    git(there, "gc", "-q")


def test_a_clone_of_one_tag_keeps_what_was_made_in_it(root: Path, origin: Path) -> None:
    there = {}
    for do in (
        tagged_in_a_linked_work_tree_that_is_gone,
        stashed_as_a_branch,
        tagged_on_no_branch_and_packed,
    ):
        for depth in ((), ("--depth", "1")):
            entry = root / "work" / f"{do.__name__}{len(depth)}"
            there[clone(origin, entry / "clone", *depth, "--branch", "v1")] = do
    assert {found.work for found in scanned(root).values()} == {None}
    for clone_of_tag, do in there.items():
        do(clone_of_tag)
    for path, found in scanned(root).items():
        assert "unpushed commit" in str(found.work), path
    assert swept(root).outcomes == ()


def with_a_tree_that_leads_to_it(origin: Path, there: Path, tree: Path) -> None:
    clone(origin, tree, f"--separate-git-dir={there}")


def with_a_tree_that_it_leads_to(origin: Path, there: Path, tree: Path) -> None:
    """As a repository of dotfiles is set up."""
    mirror(origin, there)
    tree.mkdir()
    git(there, "config", "core.bare", "false")
    git(there, "config", "core.worktree", str(tree))
    git(there, "pack-refs", "--all")  # else what it packed may be of another remote


def with_the_tree_of_its_index(origin: Path, there: Path, tree: Path) -> None:
    """As what is deployed by a hook."""
    mirror(origin, there)
    tree.mkdir()
    git(there, f"--work-tree={tree}", "checkout", "-q", "-f", "main")


def with_a_tree_elsewhere_and_a_git_directory(origin: Path, there: Path, tree: Path) -> None:
    clone(origin, there)
    shutil.copytree(there, tree, ignore=lambda *_: [".git"])
    git(there, "config", "core.worktree", str(tree))


def test_a_repository_whose_work_tree_is_elsewhere_keeps_its_entry(
    root: Path, origin: Path, tmp_path: Path
) -> None:
    said = {}
    for make in (
        with_a_tree_that_leads_to_it,
        with_a_tree_that_it_leads_to,
        with_the_tree_of_its_index,
        with_a_tree_elsewhere_and_a_git_directory,
    ):
        path = f"work/{make.__name__}"
        (root / path).mkdir(parents=True)
        make(origin, root / path / "there", tmp_path / make.__name__)
        said[path] = f"git: 1 work tree that is elsewhere in {path}/there"
    assert {path: found.work for path, found in scanned(root).items()} == said
    assert swept(root).outcomes == ()


def test_a_linked_work_tree_stays_with_the_commits_of_its_submodules(
    root: Path, origin: Path, tmp_path: Path
) -> None:
    main, linked = clone(origin, tmp_path / "main"), root / "work" / "linked"
    git(main, "submodule", "--quiet", "add", f"file://{origin}", "module")
    git(main, "commit", "-q", "-m", "module")
    git(main, "worktree", "add", "-q", "-b", "topic", str(linked))
    git(linked, "submodule", "--quiet", "update", "--init")
    git(linked / "module", "checkout", "-q", "-B", "main")
    commit(linked / "module")
    git(linked, "config", "submodule.module.ignore", "all")
    assert "1 unpushed commit in work/linked/module" in str(scanned(root)["work/linked"].work)


def test_a_bare_repository_that_has_no_other_keeps_its_entry(root: Path, origin: Path) -> None:
    there = clone(origin, root / "work" / "server.git", "--bare")
    assert "2 unpushed commits" in str(scanned(root)["work/server.git"].work)
    (there / "store").mkdir()
    for name in ("objects", "refs"):  # as on a larger disk
        (there / name).rename(there / "store" / name)
        (there / name).symlink_to(f"store/{name}")
    assert "2 unpushed commits" in str(scanned(root)["work/server.git"].work)
    assert swept(root).outcomes == swept(root, sizes=False).done == ()


def test_a_linked_work_tree_stays_while_it_is_dirty_and_git_is_told_to_forget_it(
    project: Path, origin: Path
) -> None:
    there = project / ".tmp" / "work" / "review"
    git(origin, "worktree", "add", "-q", str(there), "-b", "pr")
    commit(there)  # which is in the other repository, and stays there
    untracked(there)
    (found,) = status(project, "--sort", "name")["entries"]
    assert found["unsaved_work"] == "git: 1 uncommitted file in work/review"
    assert found["reasons"][0]["rule"] == "unsaved work"
    said = inv("temp-explain", "--path", "work/review", cwd=project).stdout
    assert "unsaved work: git: 1 uncommitted file in work/review" in said
    assert "--include-in-use --name" in said
    assert inv("temp-clean", "--everything", "--yes", cwd=project).returncode == 0
    assert there.is_dir()
    (there / "new").unlink()
    done = inv("temp-clean", "--everything", "--yes", cwd=project)
    assert not there.exists()
    assert f"git -C {origin} worktree prune" in done.stdout
    assert run(["git", "rev-parse", "--verify", "pr"], cwd=origin).returncode == 0


def test_a_repository_stays_while_a_work_tree_elsewhere_is_linked_to_it(
    root: Path, origin: Path, tmp_path: Path
) -> None:
    there = clone(origin, root / "work" / "review" / "clone")
    git(there, "worktree", "add", "-q", "--detach", "../inside")
    assert scanned(root)["work/review"].work is None
    git(there, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert scanned(root)["work/review"].work == (
        "git: 1 work tree that is elsewhere in work/review/clone"
    )
    assert swept(root).outcomes == ()
    link = there / ".git" / "worktrees" / "linked" / "gitdir"  # as git writes it if asked to
    link.write_text(os.path.relpath(tmp_path / "linked" / ".git", link.parent))
    assert swept(root).outcomes == ()
    (tmp_path / "linked").rename(tmp_path / "away")  # as when its disk is not mounted
    assert swept(root).outcomes == ()
    os.utime(link.with_name("index"), (0, 0))
    assert len(swept(root).done) == 1


def test_commits_on_no_branch_of_a_linked_work_tree_keep_it(root: Path, origin: Path) -> None:
    git(origin, "worktree", "add", "-q", "--detach", str(root / "work" / "review"))
    commit(root / "work" / "review")
    assert "1 commit on no branch" in str(scanned(root)["work/review"].work)
    git(root / "work" / "review", "update-ref", "refs/worktree/mine", "HEAD")
    git(root / "work" / "review", "reset", "-q", "--hard", "HEAD~1")
    assert "1 commit on no branch" in str(scanned(root)["work/review"].work)
    git(root / "work" / "review", "update-ref", "-d", "refs/worktree/mine")
    assert scanned(root)["work/review"].work is None


def test_a_locked_work_tree_stays(root: Path, origin: Path) -> None:
    there = root / "work" / "review"
    git(origin, "worktree", "add", "-q", "--lock", str(there))
    assert scanned(root)["work/review"].work == "git: a locked work tree in work/review"
    assert swept(root).outcomes == ()
    git(origin, "worktree", "unlock", str(there))
    assert len(swept(root).done) == 1


def test_an_empty_git_file_that_is_in_no_cache_keeps_its_entry(root: Path) -> None:
    (make_entry(root, "work/review") / ".git").touch()
    assert "cannot tell" in str(scanned(root)["work/review"].work)


def test_named_and_including_what_is_in_use_it_goes(project: Path, origin: Path) -> None:
    there = clone(origin, project / ".tmp" / "work" / "review")
    untracked(there)
    done = inv("temp-clean", "--include-in-use", "--name", "review", "--yes", cwd=project)
    assert not there.exists(), done.stdout


def test_an_entry_of_a_category_that_is_a_work_tree_is_part_of_it(root: Path, origin: Path) -> None:
    there = clone(origin, root / "work")
    (there / "src").mkdir()
    (there / "src" / "new").write_text("new")
    assert swept(root).outcomes == ()
    git(there, "clean", "-q", "-d", "-f")
    make_entry(root, "debug/x")
    assert {done.step.entry.path for done in swept(root).done} > {"debug/x"}


def test_a_category_that_is_a_bare_repository_is_one(root: Path, origin: Path) -> None:
    there = clone(origin, root.parent / "clone")
    (there / "new").write_text("only here")
    git(there, "add", "new")
    commit(there)
    git(root.parent, "clone", "-q", "--bare", str(there), str(root / "test"))
    git(root / "test", "remote", "remove", "origin")
    names = listing(root / "test")
    assert swept(root).outcomes == ()
    assert listing(root / "test") == names


def test_what_was_to_go_with_its_process_goes_with_its_work(root: Path, origin: Path) -> None:
    jobs = StorageRoot(root.parent / "jobs")
    untracked(clone(origin, jobs.allocate_job("a").root / "clone"))
    assert jobs.cleanup_all() == 1
    untracked(clone(origin, root / "auto" / "x"))
    assert len(swept(root, ABANDONED).done) == 1


def runs_a_filter(there: Path) -> None:
    (there / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    git(there, "config", "filter.evil.clean", "touch PWNED; cat")


def includes_a_filter(there: Path) -> None:
    (there / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    (there / "more").write_text('[Filter "evil"]\n process = touch PWNED\n')
    git(there, "config", "include.path", str(there / "more"))


def runs_a_monitor(there: Path) -> None:
    git(there, "config", "core.fsmonitor", "touch PWNED; false")


def runs_a_hook(there: Path) -> None:
    hook = there / "hooks" / "post-index-change"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\ntouch PWNED\n")
    hook.chmod(0o755)
    git(there, "config", "core.hooksPath", str(hook.parent))


def fetches_what_is_missing(there: Path) -> None:
    git(there, "config", "remote.origin.url", "ext::sh -c touch% PWNED")
    git(there, "config", "remote.origin.promisor", "true")
    git(there, "config", "extensions.partialClone", "origin")
    git(there, "config", "core.repositoryFormatVersion", "1")
    git(there, "config", "protocol.ext.allow", "always")
    for pack in (there / ".git" / "objects").rglob("*.pack"):
        pack.unlink()


def test_a_planted_repository_runs_nothing(root: Path, origin: Path) -> None:
    for plant in (
        runs_a_filter,
        includes_a_filter,
        runs_a_monitor,
        runs_a_hook,
        fetches_what_is_missing,
    ):
        there = clone(origin, root / "work" / plant.__name__)
        plant(there)
        (there / "a").write_text("b")  # of the same size, so that git has to look at what is in it
    found = scanned(root)
    assert len(found) == 5
    assert all(entry.work is not None for entry in found.values()), found
    assert swept(root).outcomes == ()
    assert list(root.rglob("PWNED")) == []
    assert not Path("PWNED").exists()


def test_where_git_does_not_answer_there_is_work(
    root: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = clone(origin, root / "work" / "a")
    (there / ".git" / "index").unlink()
    os.mkfifo(there / ".git" / "index")
    monkeypatch.setattr(repository, "_SECONDS", 0.2)
    monkeypatch.setattr(repository, "_timeouts", [])
    assert "git did not answer" in str(scanned(root)["work/a"].work)
    assert swept(root).outcomes == ()


def test_without_git_a_repository_keeps_its_entry(
    root: Path, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone(origin, root / "work" / "a")
    make_entry(root, "work/b")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot run git" in str(scanned(root)["work/a"].work)
    assert list(outcomes(swept(root))) == ["work/b"]


def test_the_variables_of_a_git_hook_do_not_lead_elsewhere(
    root: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untracked(clone(origin, root / "work" / "a"))
    monkeypatch.setenv("GIT_DIR", str(origin / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(origin))
    assert "1 uncommitted file" in str(scanned(root)["work/a"].work)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("name", ["work/a", "deep", "clone"])
def test_what_cannot_be_looked_into_at_the_moment_stays(
    root: Path, origin: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    make_entry(root, "work/b")
    commit(clone(origin, root / "work" / "a" / "deep" / "clone"))
    plan = prepare(root, EVERYTHING, time.time(), sizes=False)
    opening = at.open

    def failing(path: str, *arguments: Any, **more: Any) -> int:
        if path == name:
            raise OSError(number, os.strerror(number), path)
        return opening(path, *arguments, **more)

    monkeypatch.setattr(at, "open", failing)
    done = outcomes(execute(plan))
    assert done["work/b"][0] == "done"
    assert done["work/a"][0] == "failed"
    assert f"cannot be looked into: {os.strerror(number)}" in done["work/a"][1]
    assert (root / "work" / "a" / "deep" / "clone").is_dir()


def test_a_project_around_the_root_is_not_asked_about(project: Path, origin: Path) -> None:
    git(project, "init", "-q")
    untracked(project)
    make_project(project / ".tmp" / "work" / "a")
    assert len(swept(project / ".tmp").done) == 1


def test_root_asks_as_whom_a_repository_belongs_to(root: Path, origin: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    for above in (root.parent, *root.parent.parents):
        if above != Path("/"):
            above.chmod(above.stat().st_mode | 0o755)
    there = clone(origin, root / "work" / "a")
    for path in (there, *there.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    assert scanned(root)["work/a"].work is None
    os.chown(there / ".git" / "config", 1001, 1001)
    assert "another user" in str(scanned(root)["work/a"].work)


def test_git_is_asked_only_about_what_may_go(
    root: Path, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, fresh = (clone(origin, root / "work" / name) for name in ("old", "fresh"))
    for there in (old, fresh):
        (there / "deep").mkdir()
        (there / "deep" / "log").touch()
        age(there, 48)
    os.utime(fresh / "deep" / "log")
    (tmp_path / "bin").mkdir()
    asking = tmp_path / "bin" / "git"
    asking.write_text(
        f'#!/bin/sh\necho "$GIT_DIR" >> {tmp_path}/asked\nexec {shutil.which("git")} "$@"\n'
    )
    asking.chmod(0o755)
    monkeypatch.setenv("PATH", str(asking.parent), prepend=os.pathsep)
    assert outcomes(swept(root, Policy(max_age=24 * HOUR))) == {}
    assert set((tmp_path / "asked").read_text().split()) == {str(old / ".git")}
    assert outcomes(swept(root, Policy(max_age=24 * HOUR, spare_work=False))).keys() == {"work/old"}


@pytest.mark.parametrize("file", [".git", ".git/commondir"])
def test_a_repository_that_says_nonsense_keeps_its_entry(root: Path, file: str) -> None:
    path = make_entry(root, "work/x")
    if file != ".git":
        git(path, "init", "-q")
    (path / file).write_bytes(b"gitdir: x\0y\n")
    report = swept(root)
    assert report.done == ()
    (verdict,) = report.plan.kept
    assert "cannot tell what is only there" in str(verdict.reason)

"""`OutputRoot`: run directories, the temporary root that they share, and its end."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.outputs import OutputRoot
from common.temp.store.project.project import user_root
from common.temp.store.sweep.abandoned import clean_abandoned
from tests.each import each
from tests.store.children import in_child, until
from tests.support import immutable, inv, listing, mounted, plain_user, process, run, swept

LOGGER = "common.temp.outputs"
STAMP = "%Y%m%dT%H%M%SZ"

RUN = """
import os, sys
from common.temp import OutputRoot
root = OutputRoot()
path = root.run_dir()
(path / "result").write_text("x")
named = root.run_dir("named")
(named / "result").write_text("x")
print(root.temp_dir, flush=True)
"""


def roots() -> list[str]:
    """The temporary roots that are on disk, by name."""
    directory = user_root() / "auto"
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def temporary(root: OutputRoot) -> Path:
    """The temporary root of one that has one."""
    assert root.temp_dir is not None
    return root.temp_dir


# -- run directories ----------------------------------------------------------------------------


def test_a_new_instance_has_nothing_on_disk(own_system_temp: Path) -> None:
    root = OutputRoot()
    assert root.temp_dir is None
    assert listing(own_system_temp) == []


def test_a_run_directory_is_named_by_the_second_in_utc() -> None:
    # Not of `gmtime()`, whose clock is some milliseconds late.
    before = time.strftime(STAMP, time.gmtime(time.time()))
    root = OutputRoot()
    path = root.run_dir()
    assert re.fullmatch(r"\d{8}T\d{6}Z", path.name)
    assert before <= path.name <= time.strftime(STAMP, time.gmtime(time.time()))


def test_a_run_directory_is_absolute_empty_and_directly_in_the_temporary_root() -> None:
    root = OutputRoot()
    path = root.run_dir()
    assert path.is_absolute()
    assert list(path.iterdir()) == []
    assert path.parent == root.temp_dir


def test_the_temporary_root_is_private_and_in_the_system_s_temporary_directory(
    own_system_temp: Path,
) -> None:
    root = OutputRoot()
    assert root.run_dir().is_relative_to(own_system_temp)
    assert stat.S_IMODE(os.stat(user_root()).st_mode) == 0o700


def test_later_runs_use_the_same_temporary_root_and_have_their_own_directories() -> None:
    root = OutputRoot()
    paths = [root.run_dir() for _ in range(30)]
    assert len(set(paths)) == 30
    assert {path.parent for path in paths} == {root.temp_dir}


def test_two_instances_have_two_temporary_roots() -> None:
    one, other = OutputRoot(), OutputRoot()
    assert one.run_dir().parent != other.run_dir().parent


def test_a_name_that_is_taken_is_counted_up(tmp_path: Path) -> None:
    now = time.time()
    for second in range(100):  # whichever of them it is by then
        (tmp_path / "out" / time.strftime(STAMP, time.gmtime(now + second))).mkdir(parents=True)
    root = OutputRoot()
    names = [root.run_dir(tmp_path / "out").name for _ in range(3)]
    assert [name.partition("-")[2] for name in names[:1]] == ["2"]
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[2-4]", name) for name in names)
    assert len(set(names)) == 3


def test_a_link_that_points_nowhere_takes_a_name_too(tmp_path: Path) -> None:
    now = time.time()
    (tmp_path / "out").mkdir()
    for second in range(100):
        name = time.strftime(STAMP, time.gmtime(now + second))
        (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    OutputRoot().run_dir(tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_directory_that_the_caller_names_is_made_with_those_above_it(
    project: Path, kind: Callable[[str], str | Path]
) -> None:
    path = OutputRoot().run_dir(kind("deep/down"))
    assert path.is_dir()
    assert path.parent == project / "deep" / "down"


def test_a_run_in_a_named_directory_makes_no_temporary_root(
    tmp_path: Path, own_system_temp: Path
) -> None:
    root = OutputRoot()
    root.run_dir(tmp_path / "named")
    assert root.temp_dir is None
    assert listing(own_system_temp) == []


def test_what_is_in_a_named_directory_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir(mode=0o750)
    (tmp_path / "named" / "mine").write_text("x")
    OutputRoot().run_dir(tmp_path / "named")
    assert (tmp_path / "named" / "mine").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "named").stat().st_mode) == 0o750


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_place_of_the_named_directory_is_one_line_and_stays(
    tmp_path: Path, below: str
) -> None:
    (tmp_path / "named").write_text("mine")
    with pytest.raises(StorageError, match=rf"^cannot make {tmp_path}/named{below}: [^\n]+$"):
        OutputRoot().run_dir(f"{tmp_path}/named{below}")
    assert (tmp_path / "named").read_text() == "mine"


def test_a_named_directory_that_one_may_not_write_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir(mode=0o500)
    with plain_user(), pytest.raises(StorageError, match=r"named/.*Z: Permission denied"):
        OutputRoot().run_dir(tmp_path / "named")


def test_a_relative_directory_where_the_working_directory_is_gone_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "gone").mkdir()
    monkeypatch.chdir(project / "gone")
    (project / "gone").rmdir()
    with pytest.raises(StorageError, match="the working directory is gone"):
        OutputRoot().run_dir("named")


def test_a_full_disk_is_one_line_and_the_next_run_works_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=4") as disk:
        root = OutputRoot()
        root.run_dir(disk)
        ballast = disk / "ballast"
        ballast.mkdir()
        (ballast / "file").touch()
        with pytest.raises(StorageError, match="No space left on device"):
            root.run_dir(disk)
        shutil.rmtree(ballast)
        assert root.run_dir(disk).is_dir()


def test_a_planted_temporary_root_is_refused(own_system_temp: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    user_root().symlink_to(tmp_path / "theirs")
    with pytest.raises(Refused, match="is not this user's private directory"):
        OutputRoot().run_dir()
    assert listing(tmp_path / "theirs") == []


# -- cleanup ------------------------------------------------------------------------------------


def test_cleanup_removes_the_temporary_root_and_forgets_it() -> None:
    root = OutputRoot()
    (root.run_dir() / "result").write_text("x")
    root.cleanup()
    assert root.temp_dir is None
    assert roots() == []


def test_cleanup_leaves_named_directories_and_the_runs_in_them(tmp_path: Path) -> None:
    root = OutputRoot()
    root.run_dir()
    (root.run_dir(tmp_path / "named") / "result").write_text("x")
    before = listing(tmp_path / "named")
    root.cleanup()
    assert listing(tmp_path / "named") == before


def test_cleanup_leaves_the_temporary_roots_of_other_instances() -> None:
    one, other = OutputRoot(), OutputRoot()
    kept = one.run_dir()
    other.run_dir()
    other.cleanup()
    assert kept.is_dir()


@pytest.mark.parametrize("where", [".tmp/cache", ".tmp", ".tmp/results", ".tmp/cache/mine"])
def test_a_run_in_a_named_directory_in_scratch_is_in_use(project: Path, where: str) -> None:
    run = OutputRoot().run_dir(project / where)
    swept(project / ".tmp", Policy(max_age=0))
    assert run.is_dir()


def test_cleanup_can_be_called_before_the_first_run_and_again_and_again() -> None:
    root = OutputRoot()
    root.cleanup()
    root.run_dir()
    root.cleanup()
    root.cleanup()
    assert roots() == []


def test_after_a_cleanup_the_next_run_has_a_fresh_root_at_another_path() -> None:
    root = OutputRoot()
    used = set()
    for _ in range(5):  # all in one second, or nearly
        used.add(root.run_dir().parent)
        root.cleanup()
    assert root.run_dir().is_dir()
    assert len(used | {root.temp_dir}) == 6


def test_cleanup_logs_the_path_that_it_removed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    root = OutputRoot()
    root.run_dir()
    path = root.temp_dir
    root.cleanup()
    assert caplog.record_tuples == [(LOGGER, logging.INFO, f"removed {path}")]


def test_a_cleanup_that_has_nothing_to_remove_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    OutputRoot().cleanup()
    assert caplog.record_tuples == []


def test_what_cannot_be_removed_is_a_warning_and_goes_with_the_next_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = OutputRoot()
    path = root.run_dir() / "result"
    path.write_text("x")
    with immutable(path):
        where = root.temp_dir
        root.cleanup()
        assert path.exists()
        assert root.temp_dir is None
        assert [record[:2] for record in caplog.record_tuples] == [(LOGGER, logging.WARNING)]
        assert f"cannot remove {where}: " in caplog.text
        assert root.run_dir().is_dir()
    root.cleanup()
    clean_abandoned(time.time())
    assert roots() == []


def test_read_only_directories_in_a_run_go_too() -> None:
    root = OutputRoot()
    inner = root.run_dir() / "read-only"
    inner.mkdir()
    (inner / "result").write_text("x")
    inner.chmod(0o500)
    with plain_user():
        root.cleanup()
    assert roots() == []


def test_links_in_a_run_or_in_place_of_the_root_go_and_what_they_point_to_stays(
    tmp_path: Path,
) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "work").write_text("x")
    one, other = OutputRoot(), OutputRoot()
    (one.run_dir() / "link").symlink_to(target)
    other.run_dir().rmdir()
    temporary(other).rmdir()
    temporary(other).symlink_to(target)
    one.cleanup()
    other.cleanup()
    assert roots() == []
    assert (target / "work").read_text() == "x"


def test_when_somebody_removed_the_temporary_root_the_next_run_has_a_fresh_one() -> None:
    root = OutputRoot()
    shutil.rmtree(root.run_dir().parent)
    assert root.run_dir().is_dir()
    root.cleanup()
    assert roots() == []


def test_when_somebody_removed_the_temporary_root_a_cleanup_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = OutputRoot()
    shutil.rmtree(root.run_dir().parent)
    root.cleanup()
    assert root.temp_dir is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_cleanup_all_does_it_for_every_live_instance(tmp_path: Path) -> None:
    instances = [OutputRoot() for _ in range(5)]
    for root in instances:
        root.run_dir()
    named = instances[0].run_dir(tmp_path / "named")
    OutputRoot.cleanup_all()
    assert roots() == []
    assert [root.temp_dir for root in instances] == [None] * 5
    assert named.is_dir()


def test_cleanup_all_goes_on_after_one_that_cannot_be_removed() -> None:
    instances = [OutputRoot() for _ in range(3)]
    files = [root.run_dir() / "result" for root in instances]
    for file in files:
        file.write_text("x")
    with immutable(files[1]):
        OutputRoot.cleanup_all()
        assert [file.exists() for file in files] == [False, True, False]


def test_cleanup_all_leaves_the_roots_of_other_processes(project: Path) -> None:
    with process(f"{RUN}input()", cwd=project) as other:
        OutputRoot.cleanup_all()
        assert Path(other.first_line).is_dir()


# -- the end of an instance and of its process --------------------------------------------------


def test_the_temporary_root_goes_with_its_instance() -> None:
    root = OutputRoot()
    root.run_dir()
    del root
    assert roots() == []


def test_the_temporary_root_goes_with_an_instance_that_is_part_of_a_cycle() -> None:
    cycle: dict[str, object] = {"root": OutputRoot()}
    cycle["cycle"] = cycle
    root = cycle["root"]
    assert isinstance(root, OutputRoot)
    root.run_dir()
    del root
    del cycle
    gc.collect()
    assert roots() == []


def test_the_temporary_root_stays_while_its_instance_lives() -> None:
    root = OutputRoot()
    path = root.run_dir()
    gc.collect()
    assert path.is_dir()
    root.cleanup()


def test_named_directories_stay_when_their_instance_goes(tmp_path: Path) -> None:
    root = OutputRoot()
    path = root.run_dir(tmp_path / "named")
    del root
    gc.collect()
    assert path.is_dir()


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(3)",
        "raise SystemExit('no')",
        "1 / 0",
        "os.kill(os.getpid(), 2)",
        # Collected at no time before the end.
        "import gc; gc.disable(); cycle = [root]; cycle.append(cycle); del root, cycle",
        "os.chdir('/'); sys.path[:] = []",
    ],
)
def test_at_the_end_of_the_interpreter_the_temporary_root_goes_and_what_is_named_stays(
    project: Path, end: str
) -> None:
    run([sys.executable, "-c", f"{RUN}{end}"], cwd=project)
    assert roots() == []
    assert [path.rpartition("/")[2] for path in listing(project / "named")][1:] == ["result"]


def test_it_goes_at_the_end_also_where_finalizers_were_in_use_before(project: Path) -> None:
    code = (
        "import weakref\n"
        "class Anything: pass\n"
        "anything = Anything()\n"
        "weakref.finalize(anything, print, 'finalized')\n"
        f"{RUN}"
    )
    done = run([sys.executable, "-c", code], cwd=project)
    assert done.stdout.endswith("finalized\n"), done.stderr
    assert roots() == []


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_root_of_a_killed_process_goes_with_the_next_sweep_and_not_before(
    project: Path, end: str
) -> None:
    with process(f"{RUN}input(); {end}", cwd=project) as killed:
        path = Path(killed.first_line)
        clean_abandoned(time.time())
        assert path.is_dir()
        killed.communicate("\n")
        assert path.is_dir()
        clean_abandoned(time.time())
        assert not path.exists()
    assert listing(project / "named") != []


def test_the_root_of_a_running_process_is_listed_and_no_clean_takes_it(project: Path) -> None:
    with process(f"{RUN}input()", cwd=project) as running:
        name = Path(running.first_line).name
        (line,) = (
            line for line in inv("temp-status", cwd=project).stdout.splitlines() if name in line
        )
        assert f"keep: in use: pid {running.pid}" in line
        inv("temp-clean", "--everything", "--force", "--yes", cwd=project)
        assert Path(running.first_line).is_dir()


@pytest.mark.parametrize("claimed", [False, True])
def test_killed_in_a_cleanup_the_next_sweep_finishes_it_and_leaves_what_is_named(
    project: Path, claimed: bool
) -> None:
    code = (
        f"{RUN}\n"
        "for number in range(3000): (path / str(number)).touch()\n"
        "input(); root.cleanup(); input()"
    )
    with process(code, cwd=project) as killed:
        path = Path(killed.first_line)
        assert killed.stdin is not None
        killed.stdin.write("\n")
        killed.stdin.flush()
        until(lambda: not claimed or not path.exists(), "the cleanup")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    clean_abandoned(time.time())
    clean_abandoned(time.time())  # what was only moved aside came back with the first
    assert roots() == []
    assert os.listdir(user_root() / ".tempkeep" / "holding") == []
    assert (project / "named").is_dir()
    assert [name for name in listing(project / "named") if name.endswith("/result")] != []


# -- processes ----------------------------------------------------------------------------------


def test_a_forked_child_has_a_root_of_its_own() -> None:
    root = OutputRoot()
    path = root.run_dir()

    def child() -> tuple[Path | None, Path]:
        return root.temp_dir, root.run_dir()

    before, own = in_child(child)
    assert before is None
    assert own.parent != path.parent


@pytest.mark.parametrize(
    "work",
    [
        lambda root: root.cleanup(),
        lambda root: OutputRoot.cleanup_all(),
        lambda root: (root.run_dir(), root.cleanup()),
    ],
)
def test_a_forked_child_leaves_its_parent_s_root_alone(
    work: Callable[[OutputRoot], object],
) -> None:
    root = OutputRoot()
    path = root.run_dir()
    in_child(lambda: work(root) and None)
    assert path.is_dir()
    root.cleanup()


@pytest.mark.parametrize("end", ["sys.exit()", "del root; gc.collect(); os._exit(0)", "pass"])
def test_however_a_forked_child_ends_its_parent_s_root_stays(project: Path, end: str) -> None:
    code = (
        f"import gc\n{RUN}\n"
        "child = os.fork()\n"
        f"if child == 0: {end}\n"
        "else:\n"
        "    os.waitpid(child, 0); print(path.is_dir(), flush=True); root.cleanup()\n"
        "    print(path.exists(), flush=True)"
    )
    done = run([sys.executable, "-c", code], cwd=project)
    assert done.stdout.splitlines()[-2:] == ["True", "False"], done.stderr
    assert roots() == []


def test_a_forked_child_that_ends_in_order_removes_its_own_root(project: Path) -> None:
    code = (
        f"{RUN}\n"
        "child = os.fork()\n"
        "if child == 0: root.run_dir()\n"
        "else: os.waitpid(child, 0); print(len(os.listdir(root.temp_dir.parent)))"
    )
    done = run([sys.executable, "-c", code], cwd=project)
    assert done.stdout.splitlines()[-1] == "1", done.stderr


def test_a_child_that_is_forked_while_a_thread_makes_a_run_can_make_its_own(project: Path) -> None:
    code = (
        "import threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        f"{RUN}\n"
        "def work():\n"
        "    while True: root.run_dir(); OutputRoot().cleanup()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "for _ in range(6):\n"
        "    child = os.fork()\n"
        "    if child == 0: root.run_dir(); OutputRoot.cleanup_all(); os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "print('done', flush=True)"
    )
    done = run([sys.executable, "-c", code], cwd=project)
    assert done.stdout.splitlines()[-1] == "done", done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_have_roots_of_their_own_and_remove_them_at_their_end(
    project: Path, method: str
) -> None:
    (project / "work.py").write_text(
        "import multiprocessing, sys\n"
        "from common.temp import OutputRoot\n"
        "inherited = OutputRoot()\n"
        "def work(queue, given):\n"
        "    for root in (inherited, given):\n"
        "        (root.run_dir() / 'result').write_text('x')\n"
        "        queue.put((str(root.temp_dir), root.temp_dir.is_dir()))\n"
        "if __name__ == '__main__':\n"
        "    mine = [root.run_dir() for root in (inherited, OutputRoot())]\n"
        "    context = multiprocessing.get_context(sys.argv[1])\n"
        "    queue, given = context.Queue(), OutputRoot()\n"
        "    mine.append(given.run_dir())\n"
        "    workers = [context.Process(target=work, args=(queue, given)) for _ in range(2)]\n"
        "    for worker in workers: worker.start()\n"
        "    said = [queue.get() for _ in range(4)]\n"
        "    for worker in workers: worker.join()\n"
        "    assert all(was_there for _, was_there in said)\n"
        "    roots = {path for path, _ in said} | {str(run.parent) for run in mine[::2]}\n"
        "    print(len(roots), sorted(inherited.temp_dir.parent.iterdir()) == sorted(\n"
        "        run.parent for run in (mine[0], mine[2])))\n"
    )
    # The socket of a fork server has a path of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tempkeep-", dir="/tmp") as directory:
        done = run([sys.executable, "work.py", method], cwd=project, TMPDIR=directory)
        assert done.stdout == "6 True\n", done.stderr
        (root,) = Path(directory).glob("tempkeep-*")
        assert list((root / "auto").iterdir()) == []


def test_workers_of_a_pool_remove_their_roots_when_it_is_closed(project: Path) -> None:
    (project / "work.py").write_text(
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from common.temp import OutputRoot\n"
        "root = OutputRoot()\n"
        "def work(number): return root.run_dir().is_dir()\n"
        "if __name__ == '__main__':\n"
        "    kept = root.run_dir()\n"
        "    with ProcessPoolExecutor(2) as pool: print(all(pool.map(work, range(20))))\n"
        "    print([path.name for path in root.temp_dir.parent.iterdir()] == [kept.parent.name])\n"
    )
    done = run([sys.executable, "work.py"], cwd=project)
    assert done.stdout == "True\nTrue\n", done.stderr


# -- copies -------------------------------------------------------------------------------------

COPIES: list[Callable[[OutputRoot], OutputRoot]] = [
    copy.copy,
    copy.deepcopy,
    *(
        lambda root, protocol=protocol: pickle.loads(pickle.dumps(root, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]


@each("copied", COPIES)
def test_a_copy_begins_afresh(copied: Callable[[OutputRoot], OutputRoot]) -> None:
    root = OutputRoot()
    path = root.run_dir()
    other = copied(root)
    assert other.temp_dir is None
    assert other.run_dir().parent != path.parent


@each("copied", COPIES)
def test_the_end_of_a_copy_leaves_the_original_s_root(
    copied: Callable[[OutputRoot], OutputRoot],
) -> None:
    root = OutputRoot()
    path = root.run_dir()
    other = copied(root)
    other.cleanup()
    del other
    gc.collect()
    assert path.is_dir()


@each("copied", COPIES)
def test_cleanup_all_knows_of_a_copy(copied: Callable[[OutputRoot], OutputRoot]) -> None:
    other = copied(OutputRoot())
    other.run_dir()
    OutputRoot.cleanup_all()
    assert other.temp_dir is None
    assert roots() == []


# -- threads, signals and the garbage collector -------------------------------------------------


def at_once(count: int, work: Callable[[], None]) -> None:
    """Do `work` in so many threads, all of which begin together; raise what one of them raised."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def begin() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=begin) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_threads_that_begin_at_once_share_one_root_and_no_run_directory() -> None:
    root = OutputRoot()
    made: list[Path] = []
    at_once(16, lambda: made.extend(root.run_dir() for _ in range(10)))
    assert len(set(made)) == 160
    assert {path.parent for path in made} == {root.temp_dir}
    assert len(roots()) == 1


def test_threads_in_one_named_directory_share_no_run_directory(tmp_path: Path) -> None:
    made: list[Path] = []
    at_once(8, lambda: made.append(OutputRoot().run_dir(tmp_path / "new" / "named")))
    assert len(set(made)) == 8
    assert sorted(made) == sorted((tmp_path / "new" / "named").iterdir())


def test_a_cleanup_while_other_threads_make_runs_fails_none_and_leaves_nothing() -> None:
    root = OutputRoot()
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            root.cleanup()

    def make() -> None:
        for _ in range(100):
            root.run_dir()

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        at_once(4, make)
    finally:
        done.set()
        cleaner.join()
    root.cleanup()
    assert roots() == []


def test_cleanups_at_once_log_the_path_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    root = OutputRoot()
    root.run_dir()
    at_once(8, root.cleanup)
    assert len(caplog.records) == 1


def test_a_signal_s_handler_may_clean_up_at_any_instant(project: Path) -> None:
    code = (
        "import signal\n"
        "from common.temp import OutputRoot\n"
        "kept = OutputRoot()\n"
        "signal.signal(signal.SIGVTALRM, lambda *_: OutputRoot.cleanup_all())\n"
        "signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)\n"
        "for _ in range(100):\n"
        "    kept.run_dir()\n"
        "    passing = OutputRoot(); passing.run_dir(); passing.cleanup()\n"
        "signal.setitimer(signal.ITIMER_VIRTUAL, 0)\n"
        "OutputRoot.cleanup_all()\n"
        "print('done')"
    )
    done = run([sys.executable, "-c", code], cwd=project)
    assert done.stdout == "done\n", done.stderr
    assert roots() == []


def test_cleanup_all_while_instances_come_and_go_leaves_nothing() -> None:
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            cycle: list[object] = [OutputRoot()]
            cycle.append(cycle)

    others = [threading.Thread(target=come_and_go) for _ in range(3)]
    for other in others:
        other.start()
    try:
        for _ in range(15):
            kept = OutputRoot()
            kept.run_dir()
            OutputRoot.cleanup_all()
            assert kept.temp_dir is None
    finally:
        done.set()
        for other in others:
            other.join()
    gc.collect()
    assert roots() == []

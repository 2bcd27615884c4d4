"""Workers that share directories: what happens when one dies, what is reported, what is left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.temp.store.root.allocation import allocate
from common.temp.store.root.current_owners import own
from common.temp.store.root.forked_helpers import fork_helper
from common.temp.store.workers import messages
from common.temp.store.workers.crew import Crew, Link, may_fork
from common.temp.store.workers.messages import Job, Kind, Said
from tests.store.children import (
    DEADLINE,
    children_of,
    descriptors,
    has_children,
    in_child,
    state_of,
    until,
)

Work = Callable[[Link], None]
either = pytest.mark.parametrize("fork", [True, False], ids=["processes", "threads"])


@contextlib.contextmanager
def crew_of(work: Work, count: int, *, fork: bool = True) -> Iterator[Crew]:
    crew = Crew(work, fork=fork)
    try:
        crew.set_level(count)
        yield crew
    finally:
        crew.close(now=True)


def heard(crew: Crew) -> list[Said]:
    """All that is said until nothing is left to do."""
    said: list[Said] = []
    end = time.monotonic() + DEADLINE
    while crew.is_busy:
        assert time.monotonic() < end, said
        said += crew.listen(0.05)
    return said


def echo(link: Link) -> None:
    for message, _ in link.jobs():
        link.answer((os.getpid(), *message))


def busy(link: Link) -> None:
    """Works on each job until somebody else ends it, and says so all the time."""
    for _ in link.jobs():
        while True:
            link.tell((os.getpid(),))
            time.sleep(0.005)


def dies_over(what: str, work: Work) -> Work:
    """`work`, but a job of that name kills the process that has it."""

    def fatal(link: Link) -> None:
        jobs = link.jobs

        def watched() -> Iterator[tuple[tuple[object, ...], int]]:
            for message, descriptor in jobs():
                if message[0] == what:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield message, descriptor

        link.jobs = watched  # type: ignore[method-assign]
        work(link)

    return fatal


# -- answers --------------------------------------------------------------------------------------


@either
def test_every_job_is_answered_with_what_was_asked(fork: bool) -> None:
    with crew_of(echo, 3, fork=fork) as crew:
        for number in range(300):
            crew.put(Job(number, ("asked", number)))
        said = heard(crew)
    assert sorted(one.job.key for one in said) == list(range(300))
    assert all(
        one.kind is Kind.RESULT and one.message[1:] == ("asked", one.job.key) for one in said
    )


@either
def test_a_descriptor_is_the_very_directory_whatever_its_name_leads_to_by_now(
    tmp_path: Path, fork: bool
) -> None:
    def look(link: Link) -> None:
        for _, descriptor in link.jobs():
            link.answer((os.fstat(descriptor).st_ino, os.listdir(descriptor)))

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").touch()
    with crew_of(look, 1, fork=fork) as crew:
        crew.put(Job(1, (), os.open(tmp_path / "a", os.O_RDONLY)))
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").mkdir()
        (said,) = heard(crew)
    assert said.message == ((tmp_path / "b").stat().st_ino, ["inside"])


@either
def test_what_is_told_on_the_way_comes_before_the_answer(fork: bool) -> None:
    def counting(link: Link) -> None:
        for (most,), _ in link.jobs():
            for number in range(most):
                link.tell((number,))
            link.answer(("end",))

    with crew_of(counting, 1, fork=fork) as crew:
        crew.put(Job(1, (3,)))
        said = [(one.kind, *one.message) for one in heard(crew)]
    assert said == [
        (Kind.PROGRESS, 0),
        (Kind.PROGRESS, 1),
        (Kind.PROGRESS, 2),
        (Kind.RESULT, "end"),
    ]


@either
def test_a_part_that_a_worker_gives_back_is_done_by_another(tmp_path: Path, fork: bool) -> None:
    def giving(link: Link) -> None:
        for message, descriptor in link.jobs():
            if message == ("whole",):
                while not link.is_wanted():
                    time.sleep(0.001)
                assert link.give(("part",), descriptor)
            link.answer((*message, threading.get_ident(), os.getpid(), os.fstat(descriptor).st_ino))

    with crew_of(giving, 2, fork=fork) as crew:
        crew.put(Job(7, ("whole",), os.open(tmp_path, os.O_RDONLY)))
        said = {one.message[0]: one for one in heard(crew)}
    assert said.keys() == {"whole", "part"}
    assert {one.job.key for one in said.values()} == {7}
    assert {one.message[3] for one in said.values()} == {tmp_path.stat().st_ino}
    assert said["whole"].message[1:3] != said["part"].message[1:3]


@either
def test_messages_of_five_megabytes_arrive_whole(tmp_path: Path, fork: bool) -> None:
    sent = os.urandom(5_000_000)

    def twice(link: Link) -> None:
        for (data,), descriptor in link.jobs():
            link.answer((data, data[::-1], os.fstat(descriptor).st_ino))

    with crew_of(twice, 1, fork=fork) as crew:
        crew.put(Job(1, (sent,), os.open(tmp_path, os.O_RDONLY)))
        (said,) = heard(crew)
    assert said.message == (sent, sent[::-1], tmp_path.stat().st_ino)


@either
def test_who_is_too_many_is_told_and_gets_no_more(fork: bool) -> None:
    def resting(link: Link) -> None:
        for (number,), _ in link.jobs():
            link.answer((number, threading.get_ident(), os.getpid(), link.is_too_many()))

    with crew_of(resting, 4, fork=fork) as crew:
        crew.set_level(1)
        for number in range(50):
            crew.put(Job(number, (number,)))
        said = heard(crew)
        assert len(crew) == 4
    assert len({one.message[1:3] for one in said}) == 1
    assert not any(one.message[3] for one in said)


# -- workers that die -----------------------------------------------------------------------------


def test_what_a_killed_worker_had_is_said_to_be_lost_and_the_others_go_on() -> None:
    with crew_of(dies_over("die", echo), 3) as crew:
        for number in range(60):
            crew.put(Job(number, ("die" if number == 5 else "live", number)))
        said = heard(crew)
        assert len(crew) == 2
    assert sorted(one.job.key for one in said) == list(range(60))
    lost = [one.job.key for one in said if one.kind is Kind.DEATH]
    assert 5 in lost
    assert len(lost) <= 2, "the job that it was at, and the next"


def test_a_worker_that_was_killed_from_outside_loses_what_it_was_at() -> None:
    with crew_of(busy, 1) as crew:
        crew.put(Job(1, ()))
        pid = 0
        while not pid:
            pid = next((one.message[0] for one in crew.listen(1)), 0)
        os.kill(pid, signal.SIGKILL)
        assert heard(crew)[-1].kind is Kind.DEATH
        assert len(crew) == 0


def test_the_directory_of_a_lost_job_is_open_while_it_is_said(tmp_path: Path) -> None:
    with crew_of(dies_over("die", echo), 1) as crew:
        crew.put(Job(1, ("die",), os.open(tmp_path, os.O_RDONLY)))
        while crew.is_busy:
            for one in crew.listen(1):
                assert one.kind is Kind.DEATH
                assert os.fstat(one.job.descriptor).st_ino == tmp_path.stat().st_ino


def test_when_all_are_dead_everything_that_is_queued_is_lost() -> None:
    with crew_of(dies_over("die", echo), 3) as crew:
        for number in range(20):
            crew.put(Job(number, ("die",)))
        said = heard(crew)
        assert len(crew) == 0
    assert sorted(one.job.key for one in said) == list(range(20))
    assert {one.kind for one in said} == {Kind.DEATH}


def test_those_that_died_are_replaced_when_the_level_is_set_again() -> None:
    with crew_of(dies_over("die", echo), 2) as crew:
        crew.put(Job(1, ("die",)))
        assert [one.kind for one in heard(crew)] == [Kind.DEATH]
        crew.set_level(2)
        assert len(crew) == 2
        crew.put(Job(2, ("live",)))
        assert [one.kind for one in heard(crew)] == [Kind.RESULT]


def test_where_all_die_at_once_there_is_an_end_to_starting_more() -> None:
    # By a signal: an exit would first write down what of the code it covered.
    with crew_of(lambda link: os.kill(os.getpid(), signal.SIGKILL), 8) as crew:
        end = time.monotonic() + DEADLINE
        while len(crew):
            assert time.monotonic() < end
            assert not list(crew.listen(1))
            crew.set_level(8)


def test_an_exception_in_a_worker_loses_its_job_and_never_runs_the_leaders_code_again(
    tmp_path: Path,
) -> None:
    def failing(link: Link) -> None:
        for _ in link.jobs():
            raise RuntimeError("on purpose")

    with open(tmp_path / "ran", "ab", buffering=0) as ran:
        with crew_of(failing, 1) as crew:
            crew.put(Job(1, ()))
            assert [one.kind for one in heard(crew)] == [Kind.DEATH]
        ran.write(b"x")
    assert (tmp_path / "ran").read_bytes() == b"x"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_helper_that_raises_ends_with_a_code_that_is_not_zero(
    error: type[BaseException],
) -> None:
    def failing() -> None:
        raise error(0)

    _, status = os.waitpid(fork_helper(failing), 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_ctrl_c_that_reaches_a_worker_too_does_not_end_it() -> None:
    with crew_of(echo, 1) as crew:
        crew.put(Job(1, ()))
        ((pid,),) = (one.message for one in heard(crew))
        os.kill(pid, signal.SIGINT)
        crew.put(Job(2, ()))
        assert [one.kind for one in heard(crew)] == [Kind.RESULT]


def test_a_leader_that_is_killed_leaves_no_worker_behind() -> None:
    reading, writing = os.pipe()
    leader = os.fork()
    if leader == 0:
        try:
            crew = Crew(dies_over("", busy), fork=True)
            crew.set_level(4)
            crew.put(Job(1, ("busy",)))
            crew.put(Job(2, ("busy",)))  # two are at work, two have nothing to do
            for _ in range(20):
                list(crew.listen(0.1))
            os.write(writing, " ".join(map(str, children_of(os.getpid()))).encode())
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as pipe:
        workers = [int(word) for word in os.read(pipe.fileno(), 1000).split()]
    assert len(workers) == 4
    assert all(map(state_of, workers))
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    until(lambda: not any(map(state_of, workers)), "the workers end")


# -- closing --------------------------------------------------------------------------------------


@either
def test_closing_leaves_no_child_no_thread_and_no_open_descriptor(
    tmp_path: Path, fork: bool
) -> None:
    def run() -> None:
        before = descriptors()
        crew = Crew(echo, fork=fork)
        crew.set_level(3)
        for number in range(50):  # some are answered, some are not, some were never handed out
            crew.put(Job(number, (), os.open(tmp_path, os.O_RDONLY)))
            list(crew.listen(0))
        crew.close()
        assert descriptors() == before
        assert not has_children()
        assert threading.active_count() == 1

    in_child(run)


def test_who_stops_listening_in_the_middle_leaves_no_open_descriptor(tmp_path: Path) -> None:
    def run() -> None:
        before = descriptors()
        for work in (echo, dies_over("die", echo)):
            crew = Crew(work, fork=True)
            crew.set_level(1)
            for number in range(2):
                crew.put(Job(number, ("die",), os.open(tmp_path, os.O_RDONLY)))
            listening = crew.listen(10)
            assert next(listening)
            listening.close()  # type: ignore[attr-defined]
            crew.close()
        assert descriptors() == before

    in_child(run)


def test_a_worker_that_dies_in_the_middle_of_a_message_leaves_no_open_descriptor(
    tmp_path: Path,
) -> None:
    def breaking_off(link: Link) -> None:
        for _, descriptor in link.jobs():
            head = messages._HEADER.pack(Kind.GIFT.value, 1000)
            socket.send_fds(link._channel, [head, b"the beginning"], [descriptor])
            os._exit(0)

    def run() -> None:
        before = descriptors()
        with crew_of(breaking_off, 1) as crew:
            crew.put(Job(1, (), os.open(tmp_path, os.O_RDONLY)))
            assert [one.kind for one in heard(crew)] == [Kind.DEATH]
        assert descriptors() == before

    in_child(run)


def test_closing_lets_a_worker_finish_what_it_is_at(tmp_path: Path) -> None:
    def slow(link: Link) -> None:
        for _ in link.jobs():
            link.tell(("begun",))
            time.sleep(0.2)
            (tmp_path / "finished").touch()

    crew = Crew(slow, fork=True)
    crew.set_level(1)
    crew.put(Job(1, ()))
    while not list(crew.listen(1)):
        pass
    crew.close()
    assert (tmp_path / "finished").exists()


def test_closing_now_ends_a_worker_that_would_never_end() -> None:
    def stuck(link: Link) -> None:
        for _ in link.jobs():
            link.tell(("begun",))
            signal.pause()

    def run() -> None:
        crew = Crew(stuck, fork=True)
        crew.set_level(2)
        crew.put(Job(1, ()))
        crew.put(Job(2, ()))
        begun = 0
        while begun < 2:
            begun += len(list(crew.listen(1)))
        crew.close(now=True)
        assert not has_children()

    in_child(run)


# -- leases and locks -----------------------------------------------------------------------------


def can_lock(path: Path) -> bool:
    """Whether anybody else could lock `path` now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_worker_keeps_no_lease_of_its_leader(root: Path) -> None:
    allocate(str(root), "debug", "x")
    owner = own(str(root))
    assert owner is not None
    (file,) = (root / ".tempkeep" / "owners").iterdir()
    with crew_of(echo, 2) as crew:
        crew.put(Job(1, ()))
        ((pid,),) = (one.message for one in heard(crew))
        assert not can_lock(file)
        owner.close()
        until(lambda: can_lock(file), "those that were just started let go of it")
        assert state_of(pid)
        assert len(children_of(os.getpid())) >= 2


def test_a_child_that_is_no_worker_keeps_the_lease(root: Path) -> None:
    allocate(str(root), "debug", "x")
    owner = own(str(root))
    assert owner is not None
    (file,) = (root / ".tempkeep" / "owners").iterdir()
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    try:
        owner.close()
        assert not can_lock(file)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_starting_workers_leaves_the_leader_its_lease(root: Path) -> None:
    allocate(str(root), "debug", "x")
    (file,) = (root / ".tempkeep" / "owners").iterdir()
    with crew_of(echo, 2):
        pass
    assert not can_lock(file)


@pytest.mark.parametrize("is_named", [True, False], ids=["let go of", "kept"])
def test_a_worker_keeps_none_of_the_locks_that_it_is_told_of(
    tmp_path: Path, is_named: bool
) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    crew = Crew(echo, fork=True)
    try:
        crew.set_level(2, [descriptor] if is_named else [])
        crew.put(Job(1, ()))
        ((pid,),) = (one.message for one in heard(crew))
        assert not can_lock(tmp_path)
        os.close(descriptor)
        if is_named:
            until(lambda: can_lock(tmp_path), "those that were just started let go of it")
        assert can_lock(tmp_path) is is_named
        assert state_of(pid)
    finally:
        crew.close(now=True)


# -- where forking is safe ------------------------------------------------------------------------


def test_a_process_with_one_thread_may_fork() -> None:
    assert in_child(may_fork)


def test_a_process_with_a_second_thread_may_not_fork() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert not may_fork()
    finally:
        end.set()
        thread.join()

"""Warm interpreters that fork the programs which tests run: real processes that start at once.

`Started` is a `subprocess.Popen`. If the command is `python -c`, a script, or one of the programs
below with `python -m`, and the environment that an interpreter reads at startup is the same, the
process is forked from an interpreter that has already loaded the package, which saves a fifth of a
second. pytest has its own interpreter, without the package. Anything else starts as usual.

A script can have its processes forked too, by starting `warm_client.py` instead of Python.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
PROGRAMS = ("invoke", "common.temp", "common.temp.pipeline")
"""The programs that are run with `python -m`."""
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "COVERAGE")
"""Prefixes of the environment variables that an interpreter reads when it starts."""
LOOKS_AT_ITSELF = ("sys.modules", "start_run")
"""Marks of code that may depend on which modules are loaded, or on whether it was forked."""

PACKAGE, PYTEST, HOST = "package", "pytest", "host"
"""Kinds of interpreters: with the package; with pytest; with what a host loads before the package.
"""
SERVES = (
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "starlette.applications",
    "python_multipart.multipart",
)
CLIENTS = {
    "captions": ("numpy", *SERVES),
    "impact": ("xarray", "zarr"),
    "photos": ("PIL.ImageOps",),
    "pipeline": (),
    "replay_api": SERVES,
}
"""The clients in `projects`, with the modules that their interpreters load besides the package."""


class Order(NamedTuple):
    """A program to fork."""

    command: list[str]
    cwd: str
    env: dict[str, str]
    umask: int


# -- in the test ---------------------------------------------------------------------------------


class Started(subprocess.Popen[str]):
    """A process with text streams, forked from a warm interpreter if possible."""

    _status = -1  # the pipe from which the exit status of a forked process is read

    def __init__(self, *arguments: Any, server: Server | None = None, **options: Any) -> None:
        self._server = server
        super().__init__(*arguments, **options)

    @classmethod
    def instead_of(cls, kind: type[subprocess.Popen[str]], client: str) -> type[Started]:
        """A subclass of `kind` whose processes are forked from the interpreter of a client in
        `projects`.
        """

        class Forked(cls, kind):  # type: ignore[misc, valid-type]
            def __init__(self, command: list[str], **options: Any) -> None:
                server = in_environment(command[0], dict(options["env"]), client)
                super().__init__(command, server=server, **options)

        return Forked

    def _execute_child(self, args: Any, *others: Any, **more: Any) -> None:
        cwd, env, pipes = others[4], others[5], others[9:15]
        cwd = os.fspath(cwd or ".")
        server = self._server or _server_for(args, cwd, env)
        if server is None:
            super()._execute_child(args, *others, **more)  # type: ignore[misc]
            return
        streams = [one if one != -1 else own for own, one in enumerate(pipes[i] for i in (0, 3, 5))]
        try:
            self.pid, self._status = server.fork(args, cwd, env, streams)
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *others: Any, **more: Any) -> int | None:
        if self._status == -1:
            code: int | None = super()._internal_poll(*others, **more)  # type: ignore[misc]
            return code
        return self._told(0)

    def _wait(self, timeout: float | None) -> int:
        if self._status == -1:
            waited: int = super()._wait(timeout)  # type: ignore[misc]
            return waited
        code = self._told(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def _told(self, timeout: float | None) -> int | None:
        """The return code if it arrives within `timeout` seconds, else `None`."""
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            told = os.read(self._status, 4)
            assert len(told) == 4, "the warm interpreter has died"
            self.returncode = os.waitstatus_to_exitcode(int.from_bytes(told, "big"))
            os.close(self._status)
        return self.returncode


def _server_for(command: Sequence[str], cwd: str, env: dict[str, str]) -> Server | None:
    """The interpreter whose fork behaves like a new one; `None` if there is none."""
    if not hasattr(os, "pidfd_open") or command[0] != sys.executable:
        return None
    start()
    kind = _kind(command, cwd)
    server = _server(kind) if kind else None
    if server is None or server.read_at_start != _read_at_start(env) or server.powers != _powers():
        return None
    return server


def _kind(command: Sequence[str], cwd: str) -> str:
    """The kind of interpreter that can be forked for a command; "" if none can."""
    option, what = [*command, "", ""][1:3]
    if option == "-m":
        return PYTEST if what == "pytest" else PACKAGE if what in PROGRAMS else ""
    if option.endswith(".py"):
        try:
            what = Path(cwd, option).read_text(encoding="utf-8")
        except OSError:
            return ""
    elif option != "-c":
        return ""
    if any(word in what for word in LOOKS_AT_ITSELF):
        return ""
    return PYTEST if "pytest" in what else PACKAGE


def _read_at_start(env: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in env.items() if name.startswith(READ_AT_START)}


def _powers() -> list[str]:
    """The user, groups and capabilities of this thread."""
    lines = Path("/proc/thread-self/status").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("Uid", "Gid", "Groups", "Cap"))]


class Server:
    """A warm interpreter, which is not a child of this process and ends with it."""

    def __init__(self, kind: str, env: dict[str, str], python: str = sys.executable) -> None:
        self.read_at_start = _read_at_start(env)
        self.powers = _powers()
        self.name = f"tempkeep-{os.getpid()}-{kind}-{len(_servers)}"
        self._ours, theirs = socket.socketpair()
        command = [python, __file__, kind, self.name, str(theirs.fileno())]
        with theirs:
            subprocess.run(command, cwd="/", env=env, pass_fds=[theirs.fileno()], check=True)

    def close(self) -> None:
        """End the interpreter, but not the processes that it has forked."""
        self._ours.close()

    def fork(
        self, command: Sequence[str], cwd: str, env: dict[str, str], streams: list[int]
    ) -> tuple[int, int]:
        """The PID of a new process, and the file descriptor to read its exit status from."""
        os.umask(umask := os.umask(0))
        given = (list(map(os.fspath, command)), os.path.abspath(cwd), dict(env), umask)
        order = marshal.dumps(given, 4)  # which every version of Python reads
        ours, theirs = os.pipe()
        try:
            socket.send_fds(self._ours, [len(order).to_bytes(4, "big")], [*streams, theirs])
            self._ours.sendall(order)
        finally:
            os.close(theirs)
        return int.from_bytes(self._ours.recv(4), "big"), ours


_servers: dict[str, Server] = {}
_env: dict[str, str] = {}


def _server(kind: str) -> Server:
    """The interpreter of this kind, started at first use."""
    if kind not in _servers:
        _servers[kind] = Server(kind, _env)
    return _servers[kind]


def in_environment(python: str, env: dict[str, str], kind: str = HOST) -> Server | None:
    """The interpreter that forks the programs of a virtual environment."""
    if not hasattr(os, "pidfd_open"):
        return None
    key = f"{kind} {python} {_read_at_start(env)}"
    if key not in _servers:
        _servers[key] = Server(kind, env, python)
    return _servers[key]


def start() -> None:
    """Start a warm interpreter, which loads its modules in the background."""
    from tests.support import environment

    if not _env:
        _env.update(environment())
    if hasattr(os, "pidfd_open"):
        _server(PACKAGE)


def stop() -> None:
    """End the warm interpreters."""
    while _servers:
        _servers.popitem()[1].close()
    _env.clear()


def python() -> list[str]:
    """The command that a script uses instead of Python to run programs that need the package."""
    if not hasattr(os, "pidfd_open"):
        return [sys.executable]
    return [sys.executable, "-IS", str(REPOSITORY / "tests/warm_client.py"), _server(PACKAGE).name]


# -- in both -------------------------------------------------------------------------------------


def wait_for_no_disk() -> None:
    """Make fsync and syncfs do nothing on the disk with the temporary directories: no test cuts the
    power, and tests that run at the same time would wait for each other's writes.

    Filesystems that a test has mounted are flushed as usual, since they may be full.
    """
    disk = os.stat(os.environ.get("TMPDIR", "/tmp")).st_dev
    flush = os.fsync

    def fsync(file: Any) -> None:
        if os.fstat(file if isinstance(file, int) else file.fileno()).st_dev != disk:
            flush(file)

    os.fsync = fsync  # type: ignore[assignment]
    writing: Any = importlib.import_module("common.temp.store.trees.writing")
    flush_all = writing._syncfs
    if flush_all is not None:
        writing._syncfs = lambda file: os.fstat(file).st_dev != disk and flush_all(file)


# -- in the warm interpreter ---------------------------------------------------------------------


def _preload(kind: str) -> None:
    """Load what the programs load, but not the programs themselves."""
    if kind in (PACKAGE, *CLIENTS):
        _load_all("common.temp")
        wait_for_no_disk()
    if kind != PYTEST:
        _load_all("invoke")
    for name in CLIENTS.get(kind, ()):
        importlib.import_module(name)
    if kind in (PYTEST, HOST):
        from _pytest.config import default_plugins

        for name in default_plugins:
            importlib.import_module(f"_pytest.{name}")


def _load_all(top: str) -> None:
    package = importlib.import_module(top)
    for found in pkgutil.walk_packages(package.__path__, f"{top}."):
        if not found.name.startswith(("invoke.vendor", "invoke.completion")) and not (
            found.name.endswith(("__main__", ".pytest_plugin")) or found.name in PROGRAMS
        ):
            importlib.import_module(found.name)


def _serve(kind: str, orders: socket.socket, clients: socket.socket) -> Order:
    """The order that a forked child has to run. Returns in the children only."""
    ended: dict[int, tuple[int, int]] = {}  # by pidfd
    mine = _read_at_start(dict(os.environ))
    while True:
        for ready in select.select([orders.fileno(), clients.fileno(), *ended], [], [])[0]:
            if ready in ended:
                pid, status = ended.pop(ready)
                told = os.waitpid(pid, 0)[1].to_bytes(4, "big")
                os.close(ready)
                with contextlib.suppress(BrokenPipeError):  # nothing waits for it
                    os.write(status, told)
                os.close(status)
                continue
            asking = clients.accept()[0] if ready == clients.fileno() else orders
            if asking is not orders and not _is_ours(asking):
                asking.close()
                continue
            head, given, _, _ = socket.recv_fds(asking, 4, 4)
            if not head and asking is orders:
                os._exit(0)
            length = int.from_bytes(head, "big")
            order = Order(*marshal.loads(asking.recv(length, socket.MSG_WAITALL)))
            pid = 0
            if asking is orders or (
                _kind(order.command, order.cwd) == kind and _read_at_start(order.env) == mine
            ):
                pid = os.fork()
                if pid == 0:
                    for number, stream in enumerate(given[:3]):
                        os.dup2(stream, number)
                    sockets = [one.detach() for one in {orders, clients, asking}]
                    os.closerange(3, max(*given, *ended, *sockets) + 1)
                    return order
                ended[os.pidfd_open(pid)] = pid, given.pop()
            for descriptor in given:
                os.close(descriptor)
            asking.sendall(pid.to_bytes(4, "big"))
            if asking is not orders:
                asking.close()


def _is_ours(client: socket.socket) -> bool:
    """Whether `client` runs as the same user."""
    peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(peer[4:8], sys.byteorder) == os.getuid()


def _become(order: Order) -> None:
    """Set up this process as a new interpreter started with `order` would be."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(order.umask)
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        old = getattr(sys, name)
        buffering = 1 if number == 2 or os.isatty(number) else -1
        errors = "backslashreplace" if number == 2 else old.errors
        new = open(  # noqa: SIM115 - open to the end
            number, mode, buffering, old.encoding, errors, closefd=False
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    sys.orig_argv = order.command
    first = order.command[1]
    if first == "-c":
        sys.path[0] = ""
    else:
        sys.path[0] = order.cwd if first == "-m" else os.path.dirname(os.path.realpath(first))


def _run(order: Order) -> int:
    """Run the program and return its exit code."""
    first, *rest = order.command[1:]
    try:
        if first == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.modules["__main__"] = module = types.ModuleType("__main__")
            code: str | bytes
            if first == "-c":
                sys.argv = ["-c", *rest[1:]]
                code, name = rest[0], "<string>"
            else:
                sys.argv = [first, *rest]
                code, name = Path(first).read_bytes(), os.path.abspath(first)
                module.__file__ = name
            exec(compile(code, name, "exec"), module.__dict__)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        _print(error)
        return -signal.SIGINT
    except BaseException as error:
        _print(error)
        return 1
    return 0


def _print(error: BaseException) -> None:
    """Print the traceback without the frames of this module and `runpy`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__):
        trace = trace.tb_next
    sys.excepthook(type(error), error, trace)


def _end(code: int) -> None:
    """End like an interpreter, but without freeing memory, which would copy all shared pages."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = 120
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def main() -> None:
    """Wait for orders, in a process that is not a child of the one that started it."""
    kind, name, number = sys.argv[1:]
    sys.path[0] = "/"  # not the directory of this file
    orders = socket.socket(fileno=int(number))
    clients = socket.socket(socket.AF_UNIX)
    clients.bind(f"\0{name}")
    clients.listen(64)
    if os.fork():
        os._exit(0)
    _preload(kind)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    order = _serve(kind, orders, clients)
    _become(order)
    _end(_run(order))


if __name__ == "__main__":
    main()

"""Processes that work in a directory without needing what was built there."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Final

from . import procfs

_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "tcsh", "csh"})
_VALUED: Final = frozenset({"--rcfile", "--init-file", "-o", "-O"})
"""Shell options followed by a value that is not a script."""

_TERMINALS: Final = frozenset({"tmux", "tmux: server", "screen", "SCREEN", "zellij", "login"})

_EDITORS: Final = frozenset(
    {"vi", "vim", "nvim", "gvim", "emacs", "emacsclient", "nano", "micro", "hx", "kak", "helix"}
    | {"code", "code-insiders", "codium", "cursor", "zed", "zed-editor", "subl", "sublime_text"}
)
_SERVERS: Final = frozenset(
    {"rust-analyzer", "gopls", "clangd", "pylsp", "jdtls", "zls", "sourcekit-lsp", "tsserver.js"}
)
"""Language servers, which read build output but do not need it."""

_LANGUAGE_SERVER: Final = re.compile(r"lang(uage)?-?server", re.IGNORECASE)
_INTERPRETERS: Final = re.compile(r"(node|nodejs|bun|deno|python[0-9.]*|ruby)")


def bystanders() -> frozenset[str]:
    """The processes that only wait or display output: this one, its ancestors, the processes that
    read its output, shells without a command, terminal multiplexers, editors and language servers.
    """
    if not os.path.isdir("/proc/self/fd"):
        return frozenset()
    every = tuple(procfs.pids())
    waiting = (pid for pid in every if _needs_nothing(_command_of(pid)))
    return frozenset((*_started_by(), *_readers(every), *waiting))


def _needs_nothing(words: list[str]) -> bool:
    if not words:
        return False
    name, *arguments = words
    base = os.path.basename(name).removeprefix("-")
    if base in _TERMINALS or name.startswith("tmux") or _edits(words):
        return True
    own = (word for word, before in zip(arguments, words, strict=False) if before not in _VALUED)
    return base in _SHELLS and all(word.startswith("-") and word != "-c" for word in own)


def _edits(words: list[str]) -> bool:
    """Whether it is an editor or a language server, possibly a script run by an interpreter."""
    program = os.path.basename(words[0])
    if program in _EDITORS:
        return True
    if _INTERPRETERS.fullmatch(program):
        scripts = (os.path.basename(word) for word in words[1:] if not word.startswith("-"))
        program = next(scripts, "")
    return program in _SERVERS or _LANGUAGE_SERVER.search(program) is not None


def _command_of(pid: str) -> list[str]:
    return [os.fsdecode(word) for word in procfs.command_of(pid)]


def _started_by() -> list[str]:
    """The pids of this process, its parent, and so on upward."""
    found: list[str] = []
    pid = str(os.getpid())
    while pid not in ("0", *found):
        found.append(pid)
        try:
            said = procfs.read(f"/proc/{pid}/stat", 4096)
        except OSError:
            break
        pid = said.rpartition(b")")[2].split()[1].decode()
    return found


def _readers(every: tuple[str, ...]) -> list[str]:
    """The processes after this one in a pipeline, such as a pager."""
    pipes = {pipe for fd in (1, 2) if (pipe := _pipe("self", fd))}
    reads = {pid: pipe for pid in every if pipes and (pipe := _pipe(pid, 0))}
    found: list[str] = []
    while fresh := [pid for pid, pipe in reads.items() if pipe in pipes and pid not in found]:
        found += fresh
        pipes |= {pipe for pid in fresh if (pipe := _pipe(pid, 1))}
    return found


def _pipe(pid: str, descriptor: int) -> bytes:
    with contextlib.suppress(OSError):
        place = procfs.place_of(f"/proc/{pid}/fd/{descriptor}")
        return place if place.startswith(b"pipe:") else b""
    return b""

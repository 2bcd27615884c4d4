"""Functions of the standard library that accept a path-like object, and in which argument."""

from __future__ import annotations

from typing import Final

PATHS: Final = frozenset(
    f"pathlib.{name}"
    for name in ("Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
)
OS: Final = frozenset(
    f"os.{name}"
    for name in (
        *("access", "chdir", "chflags", "chmod", "chown", "chroot", "fsdecode", "fsencode"),
        *("fspath", "fwalk", "getxattr", "lchflags", "lchmod", "lchown", "link", "listdir"),
        *("listxattr", "lstat", "makedirs", "mkdir", "mkfifo", "mknod", "open", "pathconf"),
        *("readlink", "remove", "removedirs", "removexattr", "rename", "renames", "replace"),
        *("rmdir", "scandir", "setxattr", "stat", "statvfs", "symlink", "truncate", "unlink"),
        *("utime", "walk"),
    )
)
ANY_ARGUMENT: Final = (
    PATHS
    | OS
    | {"builtins.bool", "contextlib.chdir", "shutil.chown", "shutil.copymode", "shutil.copystat"}
    | {"shutil.disk_usage", "shutil.rmtree", "shutil.copy", "shutil.copy2", "shutil.move"}
)
"""Functions that accept a path-like object as any argument and return the same as for a `str`.

`copy` and `move` return the joined path, since the directory exists.
"""
FIRST_ARGUMENT: Final = {
    "builtins.str": "object",
    "builtins.open": "file",
    "io.open": "file",
    "codecs.open": "filename",
}
RETURN_TARGET: Final = frozenset({"shutil.copytree", "shutil.copyfile"})
RUN: Final = frozenset(
    f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")
)
TEMPFILE_DIR: Final = {
    "tempfile.TemporaryDirectory": 2,
    "tempfile.mkdtemp": 2,
    "tempfile.mkstemp": 2,
    "tempfile.mktemp": 2,
    "tempfile.NamedTemporaryFile": 6,
    "tempfile.TemporaryFile": 6,
    "tempfile.SpooledTemporaryFile": 7,
}
NAMED: Final = {
    "shutil.make_archive": (2, "root_dir"),
    "shutil.unpack_archive": (1, "extract_dir"),
    "shutil.which": (2, "path"),
    "glob.glob": (None, "root_dir"),
    "glob.iglob": (None, "root_dir"),
    **{name: (index, "dir") for name, index in TEMPFILE_DIR.items()},
}
"""Functions that accept a path-like object as one argument: its index and its name."""

"""The placement and naming of entries in a root: which names are valid, and how they are read.

A layout is a row of `LAYOUTS`: flat, or two levels, the first being the category.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from ..errors import InvalidName
from .named_tuple import NamedTuple

UNCATEGORIZED: Final = "uncategorized"
AUTO: Final = "auto"
"""The category of auto-cleanup entries, in the user's private root."""

TEST: Final = "test"
"""The category of entries that tests make, named after the tests."""

KNOWN_CATEGORIES: Final = frozenset({"debug", "cache", TEST, "work", AUTO, UNCATEGORIZED})

STORE: Final = ".tempkeep"
"""The directory in a root with its owner files, pins, holding area and undo area; not an entry."""

OWNERS: Final = "owners"
HOLDING: Final = "holding"
PINS: Final = "pins"
ARRIVALS: Final = "arrivals"
"""The records of when entries arrived, for entries that this program moved."""

USED: Final = "used"
"""The records of when `cache_dir` or `hold` last gave out an entry."""

ENDS: Final = "ends"
"""The records of how runs ended."""

UNDO: Final = "undo"
"""The undo area: an archive whose entries can be restored for a limited time."""

STORE_PARTS: Final = (OWNERS, HOLDING, PINS, ARRIVALS, USED, ENDS, UNDO)
"""The directories in a root's store."""

LAYOUT: Final = "layout"
"""The file in a root's store with the name of its layout, if that is not the one of `.tmp`."""

LINKED_FROM: Final = "linked-from"
"""The file in a root's store with the path of the symlink through which it was first used."""

ARCHIVE_DISK: Final = "archive-disk"
"""The file in a root's store with the path of its archive, if that is on another disk."""

HISTORY: Final = "history.jsonl"
"""The file in a root's store that records its sweeps."""

BATCH: Final = "batch-"
"""The prefix of a directory in the holding area that holds several entries."""

CONDEMNED: Final = "condemned-"
"""The prefix of a batch whose entries have passed every check: all of it is deleted."""

TRANSFER: Final = "transfer-"
"""The prefix of a directory in the holding area whose entry is on its way to or from an archive;
it is settled before anything is deleted."""

HELD: Final = ".tempkeep-held-"
"""The prefix of claimed entries where there is no space for a holding area."""

FROM: Final = "~"
"""Separates the name of a claimed entry from its former path, until the entry has passed
every check: whoever finds one with it puts the entry back."""

CATEGORY_MARK: Final = ".tempkeep-category"
"""An empty file that marks a directory as a category, not an entry."""

ROOT_FILES: Final = frozenset({"CACHEDIR.TAG", ".gitignore", "lost+found", STORE})
"""Names that are never entries; `lost+found` belongs to the filesystem."""

_ROOT_FILES: Final = frozenset(name.casefold() for name in ROOT_FILES)

MAX_NAME_BYTES: Final = 255
STAMP_BYTES: Final = len("_1696348800-12345678")
"""The bytes that `_<epoch>` and a collision suffix add to a label."""

SHORT_LABEL_BYTES: Final = 32
"""The bytes a label is cut to in the system's temporary directory: in `/tmp`, this leaves 30 of
the 108 bytes that a socket path may have."""

CUT_LABEL: Final = "temp"
"""Used if cutting a label leaves nothing valid."""

_STAMPED = re.compile(
    r"(?P<label>.+)_(?P<stamp>[0-9]{9,11})(?:-[0-9a-f]{4,8})?(?P<suffix>\.[^/]*)?", re.DOTALL
)
_RUN_TIME = r"(?a)_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:-|$)"  # few roots hold runs
_WINDOWS_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789¹²³"}
)


def check_name(name: str, what: str, *, room: int = 0) -> str:
    """`name`, if it is one printable path component of at most 255 - `room` bytes.

    `what` names it in the error ("name", "category", "job id"). Raises `InvalidName`.
    """
    name = _text(name, what)
    _refuse(name, what, _problem_with(name, room))
    return name


def _text(name: str, what: str) -> str:
    """`name` as a plain string, also if it is an enum member. Raises `InvalidName`."""
    if not isinstance(name, str):
        raise InvalidName(f"{what} {name!r} is not a string; use one plain path component")
    return str.__str__(name)


def _refuse(name: str, what: str, problem: str) -> None:
    if problem:
        raise InvalidName(f"{what} {name!r} {problem}; use one plain path component")


def _problem_with(name: str, room: int) -> str:
    if not name:
        return "is empty"
    if "\0" in name:
        return "contains NUL"
    if "/" in name or "\\" in name:
        return "contains a path separator"
    if name.startswith("."):
        return "starts with a dot"
    if not name.isprintable():
        return "contains a control or unprintable character"
    size = len(name.encode("utf-8"))
    if size > MAX_NAME_BYTES - room:
        return f"is {size} bytes long and may have {MAX_NAME_BYTES - room}"
    if name.partition(".")[0].rstrip(" ").upper() in _WINDOWS_DEVICES:
        return "is reserved on Windows"
    return ""


def is_root_file(name: str) -> bool:
    """Whether `name` belongs to the root itself and is not an entry.

    Case is ignored: some filesystems list names in a different case than they were created with.
    """
    return name.casefold() in _ROOT_FILES


def check_label(label: str) -> str:
    """`label`, if it is valid for an entry. Raises `InvalidName`."""
    return check_name(label, "name", room=STAMP_BYTES)


def short_label(label: str) -> str:
    """`label`, cut to 32 bytes if it is longer. Raises `InvalidName` as `check_label` does."""
    label = check_label(label)
    whole = label.encode()
    if len(whole) <= SHORT_LABEL_BYTES:
        return label
    cut = whole[:SHORT_LABEL_BYTES].decode(errors="ignore").rstrip()
    return cut if not _problem_with(cut, STAMP_BYTES) else CUT_LABEL


def check_category(category: str) -> str:
    """`category`, if it is a valid name for a category. Raises `InvalidName`."""
    category = _text(category, "category")
    if is_root_file(category):
        _refuse(category, "category", "is the name of a file of the root itself")
    return check_name(category, "category")


def check_job_id(job_id: str) -> str:
    """`job_id`, if it is a valid name for a job's directory. Raises `InvalidName`."""
    job_id = _text(job_id, "job id")
    if is_root_file(job_id):
        _refuse(job_id, "job id", "is the name of a file of the root itself")
    plain = job_id.replace("/", "-").replace("\\", "-")
    if plain != job_id and not _problem_with(plain, 0):
        raise InvalidName(
            f"job id {job_id!r} contains a path separator; use one plain path component, such as "
            f"{plain!r}"
        )
    return check_name(job_id, "job id")


def check_suffix(suffix: str, label: str) -> str:
    """`suffix`, if the name of a file with `label` can end with it. Raises `InvalidName`."""
    suffix = _text(suffix, "suffix")
    if suffix:
        room = STAMP_BYTES + len(label.encode()) - 1
        _refuse(suffix, "suffix", _problem_with("x" + suffix, room))
    return suffix


def entry_name(label: str, epoch: int, suffix: str = "") -> str:
    """The name of an entry made at `epoch` (seconds since 1970, UTC)."""
    return f"{label}_{epoch}-{suffix}" if suffix else f"{label}_{epoch}"


def read_name(name: str) -> tuple[str, int | None]:
    """The label and the stamp (seconds since 1970) of a name; `None` without a stamp."""
    match = _STAMPED.fullmatch(name)
    if match is None:
        return name, None
    return match["label"], int(match["stamp"])


class Layout(NamedTuple):
    """How the entries of a root are placed and named.

    With a `category`, entries are directly in the root and all have that category and `label`.
    Without one, each entry is in a directory that is its category. `files` tells whether plain
    files are entries too. Only names that match `names` are entries; its group `apart` is the
    suffix that tells entries of the same name apart. `by_change` means that the age counts from the
    newest change alone, ignoring the arrival, and `ends` that endings of entries are recorded.
    """

    name: str
    category: str = ""
    label: str = ""
    files: bool = True
    names: str | None = None
    by_change: bool = False
    ends: bool = False

    def holds(self, name: str, *, is_directory: bool) -> bool:
        """Whether `name`, directly in the root, is an entry."""
        if is_root_file(name) or name.startswith(STORE) or not (is_directory or self.files):
            return False
        return self.names is None or re.fullmatch(self.names, name) is not None

    def stem_of(self, name: str) -> str:
        """An entry's name without the suffix that tells it apart from others of the same name."""
        match = re.fullmatch(self.names, name) if self.names is not None else None
        return name if match is None else name.removesuffix(match["apart"] or "")

    def may_hold(self, path: str, *, is_directory: bool = True) -> bool:
        """Whether an entry can be at `path`, relative to the root: no traversal, no store."""
        parts = path.split("/")
        never = ("", ".", "..", CATEGORY_MARK)
        if len(parts) > (1 if self.category else 2) or any(
            part in never or "\0" in part or is_root_file(part) or part.startswith(STORE)
            for part in parts
        ):
            return False
        return not self.category or self.holds(path, is_directory=is_directory)

    def read_name(self, name: str) -> tuple[str, int | None]:
        """The label and the stamp (seconds since 1970) of an entry's name, or `None`."""
        return (self.label, None) if self.category else read_name(name)

    def arrival_of(self, name: str) -> float | None:
        """The time in the entry's name (seconds since 1970); `None` if it has none.

        The name of a run has it in UTC.
        """
        if not self.category:
            return read_name(name)[1]
        match = re.search(_RUN_TIME, name) if self.names is not None else None
        if match is None:
            return None
        from calendar import timegm  # takes a while to import, and few roots hold runs

        try:
            return float(timegm(tuple(map(int, match.groups()))))
        except ValueError:
            return None


SCRATCH: Final = Layout("scratch")
"""`<category>/<label>_<epoch>`, and anything else in the root."""

JOBS: Final = Layout("jobs", "jobs", "job", files=False)
"""A directory for each job, named by its id; plain files beside them are not entries."""

FILES: Final = Layout("files", "files", "file", by_change=True)
"""Every file and directory in the root."""

PIPELINE: Final = Layout(
    "pipeline",
    "pipeline",
    "pipeline_artifacts",
    files=False,
    names=r"pipeline_artifacts_[0-9]{8}_[0-9]{6}(?P<apart>-[0-9a-f]{4,8})?",
    ends=True,
)
"""Runs of a pipeline, `pipeline_artifacts_YYYYMMDD_HHMMSS`; nothing else is an entry."""

RUNS_ARCHIVE: Final = "archived_pipeline_runs"
"""The default archive, beside the runs of a pipeline."""

LAYOUTS: Final = {layout.name: layout for layout in (SCRATCH, JOBS, FILES, PIPELINE)}


def another_name(name: str, digits: str) -> str:
    """Another name for the entry `name`, which is taken, with a suffix of a few hex `digits`.

    It is a valid entry name in every layout in which `name` is.
    """
    for layout in LAYOUTS.values():
        if layout.names is not None and layout.holds(name, is_directory=True):
            return f"{layout.stem_of(name)}-{digits}"
    label, stamp = read_name(name)
    return entry_name(label, stamp, digits) if stamp is not None else f"{name}.{digits}"


def held_name(path: str, digits: str, prefix: str = "") -> str:
    """The name in the holding area for what was just claimed at `path`, which `place_of` reads
    back.

    A path that is too long is cut at the front.
    """
    escaped = path.replace("%", "%25").replace("/", "%2F")
    room = MAX_NAME_BYTES - len(prefix) - len(digits) - len(FROM)
    if not escaped.isascii() or len(escaped) > room:
        escaped = _shortened(path, escaped, room)
    return f"{prefix}{digits}{FROM}{escaped}"


def _shortened(path: str, escaped: str, room: int) -> str:
    if len(os.fsencode(escaped)) > room:
        escaped = path.rpartition("/")[2].replace("%", "%25")
        # A name that starts with a dot could be one of the root's own files.
        while len(os.fsencode(escaped)) > room or escaped.startswith("."):
            escaped = escaped[1:]
    return escaped or CUT_LABEL


def place_of(held: str) -> str:
    """The former path of the claimed entry named `held`; "" if it is to be deleted.

    The name may have been forged, so a path that no entry can have gives "" too.
    """
    path = held.partition(FROM)[2].replace("%2F", "/").replace("%25", "%")
    parts = path.split("/")
    never = ("", ".", "..", STORE, CATEGORY_MARK)
    is_odd = any(part in never for part in parts) or parts[0].startswith(HELD)
    return "" if is_odd or is_root_file(parts[0]) else path


def is_inside(relative: str, directory: str) -> bool:
    """Whether the path `relative` is `directory` itself or below it."""
    return relative == directory or relative.startswith(directory + "/")


def directories_above(path: str) -> Iterator[str]:
    """The directories above `path`, nearest first."""
    head, slash, _ = path.rpartition("/")
    while slash:
        yield head
        head, slash, _ = head.rpartition("/")

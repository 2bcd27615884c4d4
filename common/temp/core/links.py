"""Files with several names (hard links): they count once, and their last name frees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from .named_tuple import NamedTuple

if TYPE_CHECKING:  # a protocol takes longer to define than all else here
    from typing import Protocol

    class Tree(Protocol):
        """What takes space on disk, that of its `links` included."""

        @property
        def size(self) -> int:
            """Bytes on disk."""

        @property
        def links(self) -> tuple[Link, ...]:
            """The files in it that have names elsewhere too."""

        @property
        def inodes(self) -> int:
            """How many files and directories it is, each counted once."""


class Link(NamedTuple):
    """A file in a tree that also has names outside of it.

    `file` is its device and inode. Of its `names` in all, `met` are in the tree; its `size` is in
    bytes on disk.
    """

    file: tuple[int, int]
    names: int
    met: int
    size: int


class Amount(NamedTuple):
    """What is added up: how much of it is a tree, and how much one of the files in it."""

    of_tree: Callable[[Tree], int]
    of_link: Callable[[Link], int]


BYTES: Final = Amount(attrgetter("size"), attrgetter("size"))
INODES: Final = Amount(attrgetter("inodes"), lambda link: 1)


_LINKS: Final = attrgetter("links")


def once(trees: Iterable[Tree], amount: Amount = BYTES) -> list[int]:
    """What each of the trees adds to those before it: a file counts where it is first met."""
    trees = list(trees)
    added = list(map(amount.of_tree, trees))
    seen: set[tuple[int, int]] = set()
    for index, links in enumerate(map(_LINKS, trees)):
        for link in links:
            if link.file in seen:
                added[index] -= amount.of_link(link)
            seen.add(link.file)
    return added


class Freeing:
    """Adds up what removing trees frees, one after the other."""

    def __init__(self) -> None:
        self._left: dict[tuple[int, int], int] = {}
        """How many names are left of each file that had several."""

    def add(self, tree: Tree) -> int:
        """The bytes that removing `tree` frees, after those that were added before."""
        size = tree.size
        for file, names, met, bytes_of_it in tree.links:
            before = self._left.get(file, names)
            self._left[file] = before - met
            if not before - met <= 0 < before:
                size -= bytes_of_it
        return size


def freed(trees: Iterable[Tree]) -> list[int]:
    """The bytes that removing each of the trees frees, in this order."""
    add = Freeing().add
    return [add(tree) if tree.links else tree.size for tree in trees]

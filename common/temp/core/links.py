"""Counts files with several names (hard links) once: only removing the last name frees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from .named_tuple import NamedTuple

if TYPE_CHECKING:  # a protocol takes longer to define than all else here
    from typing import Protocol

    class Tree(Protocol):
        """Something that takes space on disk, including its `links`."""

        @property
        def size(self) -> int:
            """Bytes on disk."""

        @property
        def links(self) -> tuple[Link, ...]:
            """The files in it that also have names elsewhere."""

        @property
        def inodes(self) -> int:
            """The number of its files and directories, each counted once."""


class Link(NamedTuple):
    """A file in a tree that also has names outside it.

    `file` is its device and inode, `names` its link count, `met` how many of those names are in the
    tree, and `size` its bytes on disk.
    """

    file: tuple[int, int]
    names: int
    met: int
    size: int


class Amount(NamedTuple):
    """A quantity to add up: its value for a whole tree, and for one linked file in it."""

    of_tree: Callable[[Tree], int]
    of_link: Callable[[Link], int]


BYTES: Final = Amount(attrgetter("size"), attrgetter("size"))
INODES: Final = Amount(attrgetter("inodes"), lambda link: 1)


_LINKS: Final = attrgetter("links")


def once(trees: Iterable[Tree], amount: Amount = BYTES) -> list[int]:
    """What each tree adds to the ones before it: a file counts where it is first met."""
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
    """Adds up what removing trees one after the other frees."""

    def __init__(self) -> None:
        self._left: dict[tuple[int, int], int] = {}
        """The number of remaining names of each file that had several."""

    def add(self, tree: Tree) -> int:
        """The bytes that removing `tree` frees once the trees added before are gone."""
        size = tree.size
        for file, names, met, bytes_of_it in tree.links:
            before = self._left.get(file, names)
            self._left[file] = before - met
            if not before - met <= 0 < before:
                size -= bytes_of_it
        return size


def freed(trees: Iterable[Tree]) -> list[int]:
    """The bytes that removing each of the trees in this order frees."""
    add = Freeing().add
    return [add(tree) if tree.links else tree.size for tree in trees]

"""Quickly defined named tuples behave like those of `typing`."""

from __future__ import annotations

import pickle
import typing

from common.temp.core.named_tuple import NamedTuple


class Quick(NamedTuple):
    """A pair."""

    one: str
    other: int = 2
    """Said of the field."""

    @property
    def both(self) -> str:
        """The two."""
        return f"{self.one}{self.other}"

    @classmethod
    def of(cls, one: str) -> Quick:
        """A pair of it."""
        return cls(one)


class Typed(typing.NamedTuple):
    """A pair."""

    one: str
    other: int = 2


def test_such_a_tuple_has_what_those_of_typing_have_and_what_its_class_says() -> None:
    made = Quick.of("x")

    assert tuple(made) == tuple(Typed("x")) == ("x", 2)
    assert repr(made) == "Quick(one='x', other=2)"
    assert made.both == "x2"
    for name in ("_fields", "_field_defaults", "__doc__", "__module__", "__bases__"):
        assert getattr(Quick, name) == getattr(Typed, name)
    assert typing.get_type_hints(Quick) == {"one": str, "other": int}
    assert type(made._replace(other=3)) is Quick
    assert pickle.loads(pickle.dumps(made)) == made

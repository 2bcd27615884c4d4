"""A value read from a file is of its type and in its range, or there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from common.temp.core import fields
from common.temp.core.fields import Unreadable, check_depth, parsed
from tests.each import each


@each(
    ("read", "value"),
    [
        (fields.text, "debug/x_1"), (fields.text, "\udcff\n"), (fields.text, ""),
        (fields.words, "a\0\ud800"), (fields.texts, ["a"]), (fields.texts, []),
        (fields.whole, 0), (fields.whole, 2**63 - 1), (partial(fields.whole, least=-5), -5),
        (fields.number, 1), (fields.number, 0.5), (fields.flag, False), (fields.items, [1]),
        (partial(fields.optional, fields.whole), None), (partial(fields.optional, fields.whole), 3),
    ],
)  # fmt: skip
def test_what_can_be_true_is_given_as_it_is(read: Callable[..., Any], value: object) -> None:
    found = read(said={"it": value}, key="it")
    assert found == (tuple(value) if read is fields.texts else value)  # type: ignore[arg-type]


@each(
    ("read", "values"),
    [
        (fields.text, [None, 5, [], "a\0b", "\ud800"]),
        (fields.words, [None, 5]),
        (fields.texts, [None, "x", [1], ["\0"]]),
        (fields.whole, [None, "1", True, -1, 2**63, 1.0, float("inf"), float("nan")]),
        (fields.number, [None, "1", True, -0.1, float("inf"), float("nan"), 10**400]),
        (fields.flag, [None, 0, "true"]),
        (fields.items, [None, {}, "x"]),
        (partial(fields.optional, fields.whole), ["x", -1]),
    ],
)
def test_what_cannot_be_true_is_refused_by_the_name_of_the_field(
    read: Callable[..., Any], values: list[object]
) -> None:
    for value in values:
        with pytest.raises(Unreadable, match=r"^it is not "):
            read(said={"it": value}, key="it")
    with pytest.raises(Unreadable, match="is not an object"):
        fields.table(values)


@each("data", [b"", b"\xff", b"[" * 100_000, b"[" * 40 + b"]" * 40, b"9" * 5000])
def test_what_is_no_json_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^not valid JSON: "):
        parsed(data)


def test_depth_counts_lists_and_tables_alike() -> None:
    check_depth({"a": [[{}]]}, 4, "JSON")
    with pytest.raises(Unreadable, match="nested too deeply"):
        check_depth({"a": [[{}]]}, 2, "JSON")

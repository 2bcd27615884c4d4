"""Columns: what they take on a screen, what fits, what is left out, and what is never lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.report.table import Cell, Column, Screen, bar, cut, cut_middle, table, width
from common.temp.report.text import plain

PRINTABLE = st.text(max_size=40).map(plain)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("demo", 4),
        ("naïve", 5),
        ("日本", 4),
        ("e\N{COMBINING ACUTE ACCENT}", 1),
        ("ｆｕｌｌ", 8),
        ("█▏…", 3),
        ("👍", 2),
    ],
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, columns: int) -> None:
    assert width(text) == columns


@given(PRINTABLE, st.integers(0, 30))
def test_what_is_cut_fits_and_says_that_it_was_cut(text: str, most: int) -> None:
    for short in (cut(text, most), cut_middle(text, most)):
        assert width(short) <= most
        if width(text) <= most:
            assert short == text
        elif most:
            assert "…" in short


def test_a_cut_text_keeps_its_beginning_and_a_name_its_end() -> None:
    assert cut("delete: expired: 31 h > 24 h", 16) == "delete: expired…"
    assert cut_middle("thumbnails-of-all-photos_1696348800", 20) == "thum…otos_1696348800"
    assert cut_middle("thumbnails-of-all-photos_1696348800", 16) == "t…tos_1696348800"
    assert cut_middle("日本語のサムネイル_1", 9) == "日…イル_1"


@pytest.mark.parametrize(
    ("part", "drawn"),
    [(0.0, ""), (1e-9, "▏"), (0.5, "████"), (0.51, "████▏"), (1.0, "████████"), (7.0, "████████")],
)
def test_a_bar_is_as_long_as_its_part(part: float, drawn: str) -> None:
    assert bar(part) == drawn


COLUMNS = (
    Column("kind"),
    Column("name", flexible=True),
    Column("size", right=True),
    Column("files", right=True, optional=True),
    Column("changed", optional=True),
    Column("why"),
)
ROW = [
    Cell("debug"),
    Cell("a-name-that-is-rather-long_1696348800"),
    Cell("8.0 KiB"),
    Cell("12345"),
    Cell("2026-11-21T15:02:53Z"),
    Cell("delete: everything: requested, whatever age", "red"),
]


def test_elsewhere_than_on_a_screen_nothing_is_cut_left_out_or_coloured() -> None:
    assert table(COLUMNS, [ROW]).splitlines() == [
        "kind   name                                      size  files  changed               why",
        "-----  -------------------------------------  -------  -----  --------------------  "
        "-------------------------------------------",
        "debug  a-name-that-is-rather-long_1696348800  8.0 KiB  12345  2026-11-21T15:02:53Z  "
        "delete: everything: requested, whatever age",
    ]


def test_what_can_be_left_out_goes_before_anything_is_cut_to_nothing() -> None:
    assert table(COLUMNS, [ROW], Screen(90, colour=True)).splitlines() == [
        "kind   name                             size  files  why",
        f"-----  {'-' * 28}  -------  -----  {'-' * 37}",
        "debug  a-name…ather-long_1696348800  8.0 KiB  12345  "
        "\x1b[31mdelete: everything: requested, whate…\x1b[0m",
    ]


@given(st.lists(st.tuples(*[PRINTABLE] * 6), max_size=4), st.integers(1, 200))
def test_no_line_is_wider_than_the_screen(rows: list[tuple[str, ...]], columns: int) -> None:
    cells = [list(map(Cell, row)) for row in rows]
    assert max(map(width, table(COLUMNS, cells, Screen(columns)).splitlines())) <= columns


def test_wide_letters_do_not_shift_what_follows() -> None:
    lines = table(
        COLUMNS[:3], [[Cell("a"), Cell("日本"), Cell("1")], [Cell("a"), Cell("abcd"), Cell("1")]]
    )
    assert [width(line) for line in lines.splitlines()[2:]] == [16, 16]

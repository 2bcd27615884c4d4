"""Table columns: their width on screen, what fits, what is left out, and what is never lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.temp.report.table import Cell, Column, Screen, bar, cut, folded, table, width, wrapped
from common.temp.report.text import plain
from tests.each import each

PRINTABLE = st.text(max_size=40).map(plain)


@each(
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
    short = cut(text, most)
    assert width(short) <= most
    if width(text) <= most:
        assert short == text
    elif most:
        assert "…" in short


def test_a_cut_text_keeps_its_beginning() -> None:
    assert cut("delete: expired: 31 h > 24 h", 16) == "delete: expired…"


@given(PRINTABLE, st.integers(0, 30))
def test_what_is_wrapped_loses_nothing_and_fits_but_for_long_words(text: str, most: int) -> None:
    lines = wrapped(text, most)
    assert " ".join(lines) == text
    assert all(width(line) <= most or " " not in line for line in lines)


@each(
    ("part", "drawn"),
    [(0.0, ""), (1e-9, "▏"), (0.5, "████"), (0.51, "████▏"), (1.0, "████████"), (7.0, "████████")],
)
def test_a_bar_is_as_long_as_its_part(part: float, drawn: str) -> None:
    assert bar(part) == drawn


COLUMNS = (
    Column("kind"),
    Column("name", whole=True),
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


def test_what_can_be_left_out_goes_and_the_last_column_wraps_before_a_name_breaks() -> None:
    assert table(COLUMNS, [ROW], Screen(80, colour=True)).splitlines() == [
        "kind   name                                      size  why",
        f"-----  {'-' * 37}  -------  {'-' * 25}",
        "debug  a-name-that-is-rather-long_1696348800  8.0 KiB  \x1b[31mdelete: everything:\x1b[0m",
        f"{' ' * 55}\x1b[31mrequested, whatever age\x1b[0m",
    ]


def test_a_name_that_is_too_long_has_a_line_of_its_own_and_takes_no_room_from_others() -> None:
    short = [Cell("cache"), Cell("b_1"), *ROW[2:]]
    assert table(COLUMNS, [ROW, short], Screen(48)).splitlines() == [
        "kind   name     size  why",
        f"-----  ----  -------  {'-' * 26}",
        "debug  a-name-that-is-rather-long_1696348800",
        "             8.0 KiB  delete: everything:",
        "                      requested, whatever age",
        "cache  b_1   8.0 KiB  delete: everything:",
        "                      requested, whatever age",
    ]


def test_what_is_cut_is_neither_a_size_nor_half_a_word_of_the_last_column() -> None:
    assert table(COLUMNS, [ROW], Screen(27)).splitlines() == [
        "kind   name     size",
        "-----  ----  -------",
        "debug  a-name-that-is-rather-long_1696348800",
        "             8.0 KiB",
    ]


@given(st.lists(st.tuples(*[PRINTABLE] * 6), max_size=4), st.integers(1, 200))
def test_each_name_is_whole_and_no_other_line_wider_than_the_screen(
    rows: list[tuple[str, ...]], columns: int
) -> None:
    cells = [list(map(Cell, row)) for row in rows]
    lines = table(COLUMNS, cells, Screen(columns)).splitlines()
    names = [row[1].rstrip() for row in rows]
    assert all(any(name in line for line in lines) for name in names)
    whole = [*names, *(word for row in rows for word in row[5].split()), "name", "why"]
    for line in (lines[0], *lines[2:]):
        assert width(line) <= columns or line.endswith(tuple(filter(None, whole)))


def test_wide_letters_do_not_shift_what_follows() -> None:
    lines = table(
        COLUMNS[:3], [[Cell("a"), Cell("日本"), Cell("1")], [Cell("a"), Cell("abcd"), Cell("1")]]
    )
    assert [width(line) for line in lines.splitlines()[2:]] == [16, 16]


def test_a_line_is_folded_at_words_and_a_name_stays_whole() -> None:
    assert folded("  made by pid 7", 10) == "  made\n      by\n      pid\n      7"
    text = f"deleted {'n' * 30}  4.0 KiB  (expired: 9 d > 7 d)\nproject: cleaned 1 entry"
    assert folded(text, 26).split("\n") == [
        "deleted",
        f"    {'n' * 30}",
        "    4.0 KiB  (expired: 9",
        "    d > 7 d)",
        "project: cleaned 1 entry",
    ]
    assert folded(text, 80) == text

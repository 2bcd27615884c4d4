"""Text for people: nothing from a disk reaches the terminal unescaped."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.core.disposal import Disposal
from common.temp.core.entry import Entry, Inventory, Leftover, Problem, Undoable, Use
from common.temp.core.plan import Outcome, Plan, Report, Status, Step
from common.temp.core.policy import Policy
from common.temp.core.reasons import Reason, Verdict
from common.temp.core.retention import explain, judge
from common.temp.report.archive import archive_text, undo_text
from common.temp.report.clean import outcome_line, plan_line, plan_text, report_line, report_text
from common.temp.report.csv import status_csv
from common.temp.report.explain import explanation
from common.temp.report.status_table import status_text
from common.temp.report.table import Screen, width
from common.temp.report.text import age_seconds, counted, instant, plain, problem_line
from common.temp.report.totals import category_totals, summary
from tests.each import each
from tests.support import DAY, HOUR, NOW, entry, link

NASTY = os.fsdecode(b"a\x1b[31m\xff\n\x07") + "\u202e|1e5"
TAMED = "a\\x1b[31m\\xff\\n\\x07\\u202e|1e5"
WHY = Reason("expired", "goes", "31 h > 24 h")


def verdicts(*entries: Entry) -> tuple[Verdict, ...]:
    return judge(entries, Policy(max_age=DAY), NOW)


def status(*entries: Entry, style: str = "table", shown: int | None = None, **more: object) -> str:
    found = verdicts(*entries)
    inventory = Inventory(root="/r", entries=entries, **more)  # type: ignore[arg-type]
    return status_text("demo", inventory, found, found[:shown], NOW, style)  # type: ignore[arg-type]


def plan(*steps: Step, **more: object) -> Plan:
    said: Any = {"policy": Policy(), **more}
    return Plan(root="/r", drawn_at=NOW, steps=steps, **said)


def step(disposal: Disposal = "delete", **overrides: object) -> Step:
    return Step(entry(**overrides), disposal, WHY)


def kept(rule: str, evidence: str = "so", **overrides: object) -> Verdict:
    return Verdict(entry(**overrides), True, (Reason(rule, "stays", evidence),))


class matching(str):  # noqa: N801 - reads as a word
    """Equal to whatever the pattern matches."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self, other) is not None

    __hash__ = str.__hash__


# -- neutralising -----------------------------------------------------------------------------


@each(
    ("text", "tamed"),
    [
        ("plain text, naïve, 日本, é|\\", "plain text, naïve, 日本, é|\\"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        (os.fsdecode(b"\xff\xfe"), "\\xff\\xfe"),
        ("\ud83d", "\\ud83d"),
        ("gpj\u202eexe", "gpj\\u202eexe"),
        ("\u2066a\u2069\u200b", "\\u2066a\\u2069\\u200b"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\U000e0041", "\\U000e0041"),
        ("", ""),
    ],
)
def test_what_a_terminal_might_act_on_is_spelled_out(text: str, tamed: str) -> None:
    assert plain(text) == tamed


@given(st.text(st.characters(), max_size=40))
def test_a_tamed_text_is_printable_in_one_line_and_can_be_encoded(text: str) -> None:
    tamed = plain(text)
    assert tamed.isprintable()
    assert tamed.encode("utf-8").decode("utf-8") == tamed
    assert len(tamed.splitlines()) <= 1
    assert plain(tamed) == tamed


@pytest.mark.parametrize("style", ["table", "github"])
def test_a_status_tames_every_text_from_the_disk(style: str) -> None:
    nasty = entry(
        path=f"{NASTY}/{NASTY}",
        category=NASTY,
        label=NASTY,
        use=Use("owner", NASTY),
        pin=NASTY,
        unreadable=NASTY,
        changed_in=NASTY,
    )
    printed = status(nasty, style=style)
    assert plain(printed.replace("\n", "")) == printed.replace("\n", "")
    expected = TAMED if style == "table" else re.sub(r"([\\|\[])", r"\\\1", TAMED)
    assert printed.count(expected) >= 5


def test_a_number_like_name_is_printed_as_it_is() -> None:
    printed = status(
        entry(path="debug/1e5", label="1e5"), entry(path="debug/0x10", label="0x10"),
        entry(path="1_0/00123", category="1_0"),
    )  # fmt: skip
    for text in ("1e5", "0x10", "00123", "1_0"):
        assert text in printed.split()


@each("name", ["a|b", "a\\|b", "a\\", "|", "a||b", "\\\\|"])
def test_a_cell_of_a_github_table_cannot_end_early(name: str) -> None:
    printed = status(entry(path=f"debug/{name}", label=name), style="github")
    rows = [line for line in printed.splitlines() if line.startswith("| debug")]
    cells = _github_cells(rows[0])
    assert len(cells) == 8
    assert cells[1] == name


def test_a_cell_of_a_github_table_is_shown_and_no_markup() -> None:
    printed = status(
        entry(path="debug/x", label="x", pin="<b> `c` *d* [e](f) ~~g~~"), style="github"
    )
    assert r"keep: pinned: \<b> \`c\` \*d\* \[e](f) \~\~g\~\~" in printed


def _github_cells(row: str) -> list[str]:
    """The cells of a row as GitHub reads it: a backslash escapes what follows."""
    cells, current, escaped = [], "", False
    for letter in row.strip()[1:]:
        if escaped:
            current += letter
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == "|":
            cells.append(current.strip())
            current = ""
        else:
            current += letter
    return cells


# -- small things -------------------------------------------------------------------------------


@each(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW + 0.9, "2023-11-14T22:13:20Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (10**12, "1000000000000"),
        (1e30, str(int(1e30))),
    ],
)
def test_an_instant_is_iso_8601_in_utc_where_a_calendar_reaches(seconds: float, text: str) -> None:
    assert instant(seconds) == text


def test_a_count_agrees_with_its_noun() -> None:
    assert [counted(n) for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert counted(1, "project", "projects") == "1 project"


@pytest.mark.parametrize(
    ("overrides", "seconds"),
    [({}, 3600), ({"arrived": NOW - 60}, 60), ({"changed": NOW + 5}, 0)],
)
def test_an_age_counts_from_the_last_time_and_is_never_negative(
    overrides: dict[str, object], seconds: int
) -> None:
    assert age_seconds(entry(**overrides), NOW) == seconds


def test_totals_are_by_category_and_leave_out_what_would_not_be_freed() -> None:
    old = {"changed": NOW - 2 * DAY, "size": 1000, "shared": 300}
    found = verdicts(
        entry(path="debug/a_1", label="a", size=10),
        entry(path="debug/b_1", label="b", **old),
        entry(path="cache/c_1", category="cache", **old),
    )
    assert list(category_totals(found).items()) == [
        ("cache", (1, 1000, 700)),
        ("debug", (2, 1010, 700)),
    ]


# -- status -----------------------------------------------------------------------------------


def test_a_status_shows_each_entry_and_totals() -> None:
    printed = status(
        entry(files=3, size=2048),
        entry(path="cache/old_1", category="cache", changed=NOW - 2 * DAY, pin="for Ann"),
        free=5 * 1024**3,
    )
    lines = [" ".join(line.split()) for line in printed.splitlines() if line]
    assert [line for line in lines if not line.startswith("---")] == [
        "demo",
        "2 entries, 6.0 KiB on disk, 0 B reclaimable",
        "category name size files age goes in last change next clean",
        "debug demo_1699990000 2.0 KiB 3 60 min 23 h 2023-11-14T21:13:20Z "
        "keep: within limits: 1 h ≤ 24 h",
        "cache old_1 4.0 KiB 0 48 h 2023-11-12T22:13:20Z keep: pinned: for Ann",
        "category entries size would go",
        "cache 1 4.0 KiB 0 B",
        "debug 1 2.0 KiB 0 B",
        "5.0 GiB free on its filesystem",
    ]


def test_the_totals_say_what_part_could_be_had_back() -> None:
    goes = entry(size=3072, shared=1024, changed=NOW - 2 * DAY)
    assert summary(verdicts(goes, entry(path="debug/new", size=1024))) == (
        "2 entries, 4.0 KiB on disk, 2.0 KiB reclaimable (50 %)"
    )


def test_only_several_categories_have_totals_of_their_own() -> None:
    assert "would go" not in status(entry(), entry(path="debug/other"))


def test_on_a_terminal_there_is_a_bar_and_colours_that_repeat_what_words_say() -> None:
    live = entry(path="debug/live", use=Use("owner", "python"), size=4096)
    pinned = entry(path="debug/pinned", pin="for Ann", size=2048)
    old = entry(path="debug/old", changed=NOW - 2 * DAY, size=1)
    found = verdicts(live, pinned, old)
    inventory = Inventory(root="/r", entries=(live, pinned, old))
    screen = Screen(200, colour=True)
    lines = status_text("demo", inventory, found, found, NOW, "table", screen).splitlines()
    assert [
        next(line for line in lines if name in line) for name in ("live", "pinned ", "old")
    ] == [
        matching(r".* ████████  .*\x1b\[33mkeep: in use: python\x1b\[0m"),
        matching(r".* ████      .*\x1b\[36mkeep: pinned: for Ann\x1b\[0m"),
        matching(r".* ▏         .*\x1b\[31mdelete: expired: .*\x1b\[0m"),
    ]
    without = status_text("demo", inventory, found, found, NOW, "table", Screen(200))
    assert "\x1b" not in without
    assert re.sub(r"\x1b\[\d+m", "", "\n".join(lines)) == without.rstrip("\n")


@each("columns", [20, 40, 60, 80])
def test_on_a_narrow_terminal_names_are_whole_and_the_rest_is_no_wider(columns: int) -> None:
    long = entry(path="c/one_1", category="category-of-" + "c" * 60, label="one")
    path = "debug/thumbnails-of-all-photos_1699990000"
    found = verdicts(long, entry(path=path, label="thumbnails-of-all-photos"))
    screen = Screen(columns)
    lines = status_text("demo", Inventory("/r"), found, found, NOW, "table", screen).splitlines()
    tables = lines[lines.index("") :]
    names = ("thumbnails-of-all-photos_1699990000", long.category)
    if columns >= 60:
        assert all(width(line) <= columns or line.endswith(names) for line in tables)
    assert all(any(name in line for line in tables) for name in names)


def test_all_that_keeps_an_entry_is_told() -> None:
    used = entry(use=Use("owner", "python (pid 7)"), pin="why", unreadable="Permission denied")
    assert (
        "keep: in use: python (pid 7); pinned: why; "
        "unreadable: Permission denied, so its age is unknown" in status(used)
    )


def test_an_unreadable_entry_that_goes_is_told_to_be_unreadable() -> None:
    hidden = entry(unreadable="Permission denied")
    found = judge([hidden], Policy(everything=True), NOW)
    printed = status_text("demo", Inventory(root="/r"), found, found, NOW, "table")
    assert (
        "delete: everything: requested, regardless of age; unreadable: Permission denied" in printed
    )


def test_a_status_says_how_many_entries_it_left_out() -> None:
    entries = [entry(path=f"debug/a_{i}") for i in range(3)]
    assert "\n1 of 3 entries shown\n" in status(*entries, shown=1)
    assert "shown" not in status(*entries)


@pytest.mark.parametrize("style", ["table", "github"])
def test_a_status_that_shows_no_entry_still_has_the_totals(style: str) -> None:
    printed = status(entry(), style=style, shown=0)
    assert "0 of 1 entry shown" in printed
    assert "1 entry, 4.0 KiB on disk, 0 B reclaimable" in printed


def test_an_empty_root_has_no_entries_and_no_table() -> None:
    assert status() == "demo\nno entries\n"


def test_a_status_tells_of_leftovers() -> None:
    left = (
        Leftover("a", True),
        Leftover("batch-a", True, 5),
        Leftover("b", False),
        Leftover("c", False),
    )
    printed = status(leftovers=left)
    assert "6 entries being freed by a clean that is running now" in printed
    assert "2 entries left by a clean that was killed; the next clean finishes them" in printed


def test_a_github_status_has_a_heading() -> None:
    assert status(style="github").startswith("### demo\n")


def test_a_status_as_csv_can_be_read_back() -> None:
    found = verdicts(
        entry(path='debug/a,"b"_1', label='a,"b"', use=Use("lock", "flock"), files=2),
        entry(path=f"debug/{NASTY}", label="x", arrived=NOW, pin="why"),
        entry(path="debug/old_1", label="old", changed=NOW - 2 * DAY),
    )
    rows = list(csv.DictReader(io.StringIO(status_csv([("demo", found)], NOW))))
    assert [row["name"] for row in rows] == ['a,"b"_1', TAMED, "old_1"]
    assert rows[0]["in_use"] == "flock"
    assert rows[0]["size_bytes"] == "4096"
    assert [row["age_seconds"] for row in rows] == ["3600", "0", "172800"]
    assert [row["goes"] for row in rows] == ["false", "false", "true"]
    assert rows[1]["pinned"] == "why"
    assert rows[2] == {
        "project": "demo", "category": "debug", "name": "old_1", "size_bytes": "4096",
        "files": "0", "age_seconds": "172800", "changed_at": "2023-11-12T22:13:20Z",
        "in_use": "", "pinned": "", "goes": "true", "rule": "expired", "evidence": "48 h > 24 h",
    }  # fmt: skip


# -- cleaning -----------------------------------------------------------------------------------


@each(
    ("disposal", "line", "total"),
    [
        (
            "delete",
            "would delete debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)",
            "demo: would delete 1 entry and free 4.0 KiB",
        ),
        (
            "trash",
            "would trash debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)",
            "demo: would trash 1 entry, which frees no space until the trash is emptied",
        ),
        (
            "archive",
            "would archive debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)",
            "demo: would archive 1 entry (what is archived on the same disk still takes space)",
        ),
        (
            "undo",
            "would set aside debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)",
            "demo: would set aside 1 entry, which can be undone and frees no space for 24 h",
        ),
    ],
)
def test_a_plan_says_what_would_be_done(disposal: Disposal, line: str, total: str) -> None:
    assert plan_text("demo", plan(step(disposal))) == f"{line}\n{total}"


def test_what_is_archived_on_another_disk_is_planned_to_free_its_size() -> None:
    printed = plan_text("demo", plan(step("archive"), archives_move=True))
    assert printed.endswith("\ndemo: would archive 1 entry and free 4.0 KiB")


LOW = Reason("low space", "goes", "1.0 KiB free, 9.0 KiB wanted, oldest archives first")


def test_a_plan_names_the_archives_that_would_go_before_anything_else() -> None:
    archives = (Step(entry(path=f"debug__{NASTY}", size=2048, shared=1024), "drop", LOW),)
    assert plan_text("demo", plan(step(), archives=archives)).splitlines() == [
        f"would delete from the archive debug__{TAMED}  2.0 KiB  ({LOW})",
        "would delete debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)",
        "demo: would delete 1 entry and free 4.0 KiB; would delete 1 archive and free 1.0 KiB",
    ]


def test_a_plan_tells_what_was_set_aside_from_archives() -> None:
    over = Reason("undo time is over", "goes", "25 h > 24 h")
    archives = (
        Step(entry(path=f"debug__{NASTY}", size=1024), "forget", over),
        Step(entry(path="debug__x", size=1024), "drop", LOW),
    )
    assert plan_text("demo", plan(archives=archives)).splitlines() == [
        f"would delete for good debug__{TAMED}  1.0 KiB  (undo time is over: 25 h > 24 h)",
        f"would delete from the archive debug__x  1.0 KiB  ({LOW})",
        "demo: would delete 0 entries and free 0 B; would delete 1 archive and 1 entry set aside "
        "before and free 2.0 KiB",
    ]


def lacking(**more: object) -> Plan:
    """A plan that cannot free as much as is wanted."""
    low = Reason("low space", "goes", "so")
    held = [
        Verdict(entry(path=f"debug/{rule}", size=size), True, (Reason(rule, "stays", "so"), low))
        for rule, size in (("in use", 2048), ("pinned", 512))
    ]
    return plan(policy=Policy(min_free_space=9216), free=1024, kept=tuple(held), **more)


def test_a_plan_that_cannot_free_enough_says_what_holds_how_much() -> None:
    assert plan_text("demo", lacking()).splitlines()[-1] == (
        "demo: low space: 1.0 KiB would be free, 9.0 KiB wanted; "
        "held by what stays: 2.0 KiB in use, 512 B pinned"
    )


def test_a_report_says_what_is_free_by_now_and_what_holds_the_rest() -> None:
    report = Report(plan=lacking(), free=3072)
    assert report_text("demo", report).splitlines()[-1] == (
        "demo: low space: 3.0 KiB free, 9.0 KiB wanted; "
        "held by what stays: 2.0 KiB in use, 512 B pinned"
    )
    assert "low space" not in report_text("demo", report._replace(free=9216))
    assert "low space" not in report_text("demo", report._replace(free=None))


def test_a_line_has_the_totals_of_a_plan_or_a_report_and_what_is_lacking() -> None:
    lack = "9.0 KiB wanted; held by what stays: 2.0 KiB in use, 512 B pinned"
    kept = "; kept 2 entries: 1 in use, 1 pinned; "
    assert plan_line("demo", lacking()) == (
        f"demo: would delete 0 entries and free 0 B{kept}demo: low space: 1.0 KiB would be free, "
        f"{lack}"
    )
    assert report_line("demo", Report(plan=lacking(), free=3072)) == (
        f"demo: cleaned 0 entries, freed 0 B{kept}demo: low space: 3.0 KiB free, {lack}"
    )


def test_what_was_set_aside_on_a_low_disk_is_said_to_go_with_the_next_clean() -> None:
    aside = lacking()._replace(steps=(step("undo", size=4096),))
    warned = "; the next clean deletes what can be undone if the disk is still low"
    assert plan_text("demo", aside).endswith(f", 4.0 KiB to be undone{warned}")
    assert report_text("demo", Report(plan=aside, free=3072)).endswith(warned)
    assert warned not in plan_text("demo", lacking())


@pytest.mark.parametrize("disposal", ["undo", "trash", "archive"])
def test_where_nothing_was_put_elsewhere_nothing_is_said_to_take_space(disposal: Disposal) -> None:
    failed = Report(plan=plan(step(disposal)), outcomes=(Outcome(step(disposal), "failed"),))
    assert "takes space" not in report_text("demo", failed)


def test_a_shortfall_that_nothing_of_ours_holds_is_said_as_well() -> None:
    plan = lacking()._replace(kept=())
    assert plan_text("demo", plan).splitlines()[-1] == (
        "demo: low space: 1.0 KiB would be free, 9.0 KiB wanted; nothing else here can be removed"
    )


def test_a_report_says_that_the_next_clean_goes_on_where_this_one_freed_less_than_it_should() -> (
    None
):
    within = Verdict(entry(path="debug/new"), True, (Reason("within limits", "stays", "so"),))
    plan = lacking()._replace(kept=(within,))
    assert report_text("demo", Report(plan=plan, free=3072)).splitlines()[-1] == (
        "demo: low space: 3.0 KiB free, 9.0 KiB wanted; the next clean removes more"
    )


def test_a_report_counts_the_archives_that_went_and_names_those_that_did_not() -> None:
    drops = [Step(entry(path=f"debug__{name}"), "drop", LOW) for name in "ab"]
    report = Report(
        plan=plan(archives=tuple(drops)),
        dropped=(
            Outcome(drops[0], "done", "", 1024),
            Outcome(drops[1], "skipped", "enough is free now"),
        ),
    )
    assert report_text("demo", report).splitlines() == [
        "skipped debug__b: enough is free now",
        "demo: cleaned 0 entries, freed 1.0 KiB; deleted 1 archive; 1 skipped",
    ]


def test_what_can_be_undone_is_a_table_with_its_time() -> None:
    rows = [("debug__x", "2023-11-15T22:13:20Z", "4 B", "2023-11-14T22:13:20Z", NASTY, "old")]
    printed = undo_text(f"/r/{NASTY}", rows).splitlines()
    assert printed[0] == f"/r/{TAMED}: can be undone"
    assert printed[2].split() == ["name", "until", "size", "set", "aside", "was", "why"]
    assert TAMED in printed[4]


def test_until_when_an_outcome_can_be_undone_is_in_its_line() -> None:
    outcome = Outcome(step("undo"), "done", until=NOW + DAY)
    assert outcome_line(outcome) == (
        "set aside debug/demo_1699990000  can be undone until 2023-11-15T22:13:20Z, frees no space "
        "until then  (expired: 31 h > 24 h)"
    )


@each(
    ("held", "line"),
    [
        ([], None),
        ([Undoable("a", 1024, NOW + DAY)], "1 entry set aside, still 1.0 KiB on disk, until 2023-11-15T22:13:20Z (temp-restore undoes it)"),  # noqa: E501
        ([Undoable("a", 1024, NOW + HOUR), Undoable("b", 1024, NOW + DAY)], "2 entries set aside, still 2.0 KiB on disk, until 2023-11-14T23:13:20Z to 2023-11-15T22:13:20Z (temp-restore undoes it)"),  # noqa: E501
        ([Undoable("a", 1024, NOW - 1, (link(512),), goes=True), Undoable("b", 1024, None)], "2 entries set aside, still 2.0 KiB on disk, until 2023-11-14T22:13:19Z (temp-restore undoes it); the next clean deletes 1 of them for good and frees 512 B"),  # noqa: E501
        ([Undoable("a", 1024, None)], "1 entry set aside, still 1.0 KiB on disk (temp-restore undoes it)"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_status_tells_of_what_was_set_aside(held: list[Undoable], line: str | None) -> None:
    printed = status(undoable=tuple(held)).splitlines()
    assert printed[1] == "no entries"
    assert [one for one in printed if "set aside" in one] == ([] if line is None else [line])


def test_an_archive_is_a_table_of_what_lies_there() -> None:
    rows = [("debug__x", "tar.zst", "4.0 KiB", "2023-11-14T22:13:20Z", f"/r/{NASTY}", "old")]
    printed = archive_text("/a", rows).splitlines()
    assert printed[0] == "/a"
    assert printed[2].split() == ["name", "format", "size", "archived", "was", "why"]
    assert TAMED in printed[4]
    assert archive_text(NASTY, []) == f"{TAMED}: nothing archived"


def test_an_empty_plan_says_so_in_a_line() -> None:
    assert plan_text("demo", plan()) == "demo: would delete 0 entries and free 0 B"


def test_a_plan_names_what_is_protected_and_counts_the_rest() -> None:
    keeping = (
        kept("in use", "python (pid 7)", path="debug/a_1"),
        kept("pinned", NASTY, path=f"debug/{NASTY}"),
        kept("mounted", path="debug/m_1"),
        kept("unreadable", path="debug/u_1"),
        kept("tracked", "git tracks a", path="debug/t_1"),
        kept("within limits", path="debug/b_1"),
        kept("keep last", path="debug/c_1"),
        kept("within limits", path="debug/d_1"),
    )
    left = (Leftover("x", False), Leftover("y", True))
    printed = plan_text("demo", plan(kept=keeping, leftovers=left, out_of_scope=4))
    assert printed == "\n".join(
        [
            "kept debug/a_1: in use: python (pid 7)",
            f"kept debug/{TAMED}: pinned: {TAMED}",
            "kept debug/m_1: mounted: so",
            "kept debug/u_1: unreadable: so",
            "kept debug/t_1: tracked: git tracks a",
            "demo: would delete 0 entries and free 0 B; would finish 1 left by a clean that was "
            "killed; kept 8 entries: 1 in use, 1 keep last, 1 mounted, 1 pinned, 1 tracked, "
            "1 unreadable, 2 within limits; 4 not selected",
        ]
    )


@each(
    ("disposal", "status", "detail", "freed", "line"),
    [
        ("delete", "done", "", 4096, "deleted debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)"),  # noqa: E501
        ("trash", "done", "in the trash", 0, "trashed debug/demo_1699990000  in the trash  (expired: 31 h > 24 h)"),  # noqa: E501
        ("drop", "done", "", 4096, "deleted from the archive debug/demo_1699990000  4.0 KiB  (expired: 31 h > 24 h)"),  # noqa: E501
        ("archive", "done", "archived as /a", 0, "archived debug/demo_1699990000  as /a  (expired: 31 h > 24 h)"),  # noqa: E501
        ("delete", "skipped", f"in use by {NASTY}", 0, f"skipped debug/demo_1699990000: in use by {TAMED}"),  # noqa: E501
        ("delete", "failed", f"{NASTY}: no", 7, f"failed debug/demo_1699990000: {TAMED}: no"),
    ],
)  # fmt: skip
def test_an_outcome_is_a_line(
    disposal: Disposal, status: Status, detail: str, freed: int, line: str
) -> None:
    assert outcome_line(Outcome(step(disposal), status, detail, freed)) == line


@each(
    ("disposal", "more"),
    [
        ("delete", ""),
        ("trash", " (the trash takes space until it is emptied)"),
        ("archive", " (what was archived on the same disk still takes space)"),
        ("undo", " (temp-restore undoes it for 24 h; its space is free after that)"),
    ],
)
def test_a_report_says_what_was_freed_and_what_was_not(disposal: Disposal, more: str) -> None:
    one = step(disposal)
    report = Report(plan=plan(one), outcomes=(Outcome(one, "done", "", 1024),))
    assert report_text("demo", report) == f"demo: cleaned 1 entry, freed 1.0 KiB{more}"


def test_a_report_counts_what_was_skipped_failed_and_finished() -> None:
    steps = [step(path=f"debug/a_{i}") for i in range(4)]
    report = Report(
        plan=plan(*steps, kept=(kept("pinned", "why"),)),
        outcomes=(
            Outcome(steps[0], "done", "", 1024),
            Outcome(steps[1], "skipped", "is gone already"),
            Outcome(steps[2], "failed", "Permission denied"),
            Outcome(steps[3], "skipped", "in use by x"),
        ),
        finished=2,
        finished_bytes=1024,
    )
    assert report_text("demo", report) == "\n".join(
        [
            "kept debug/demo_1699990000: pinned: why",
            "skipped debug/a_1: is gone already",
            "skipped debug/a_3: in use by x",
            "demo: cleaned 1 entry, freed 2.0 KiB; finished 2 left by a clean that was killed; "
            "2 skipped; 1 failed; kept 1 entry: 1 pinned",
        ]
    )


def test_a_problem_is_one_line() -> None:
    assert problem_line(NASTY, Problem(NASTY, NASTY)) == f"problem: {TAMED}: {TAMED}: {TAMED}"


# -- explaining -------------------------------------------------------------------------------


def _explained(one: Entry, policy: Policy) -> str:
    verdict, reasons = explain([one], policy, NOW, one.path)
    return explanation(verdict, reasons, NOW)


def test_an_explanation_says_what_hard_links_elsewhere_keep() -> None:
    lines = _explained(entry(shared=1024), Policy(max_age=DAY)).splitlines()
    assert lines[2] == "  1.0 KiB of it has hard links elsewhere too"
    assert "hard links" not in _explained(entry(), Policy(max_age=DAY))


def test_an_explanation_has_the_facts_and_each_rule() -> None:
    one = entry(changed=NOW - 31 * HOUR, changed_in="a/b", files=1, made_by="python (pid 7)")
    assert _explained(one, Policy(max_age=DAY, exclude=("x",))) == "\n".join(
        [
            "debug/demo_1699990000: would go, expired: 31 h > 24 h, newest change in a/b",
            "  4.0 KiB in 1 file, last change 2023-11-13T15:13:20Z (31 h ago) in a/b",
            "  made by python (pid 7)",
            "",
            "rule by rule (- removes it, + keeps it):",
            "    in use: by no process",
            "    pinned: no",
            "    excluded: matches none of x",
            "  - expired: 31 h > 24 h, newest change in a/b",
            "",
            "It stays if it is pinned (`temp-pin`), if `exclude` matches it, "
            "or while a process uses it.",
        ]
    )


def test_an_explanation_marks_what_keeps_an_entry() -> None:
    printed = _explained(entry(pin="why", arrived=NOW - 60), Policy(max_age=DAY))
    assert printed.startswith("debug/demo_1699990000: stays, pinned: why\n")
    assert "\n  + pinned: why\n" in printed
    assert "21:13:20Z, arrived 60 s ago\n  made by an unknown process\n" in printed


def test_an_explanation_tames_every_text_from_the_disk() -> None:
    one = entry(
        path=f"debug/{NASTY}", label=NASTY, changed_in=NASTY, made_by=NASTY, pin=NASTY,
        use=Use("owner", NASTY), unreadable=NASTY, mounted=NASTY,
    )  # fmt: skip
    printed = _explained(one, Policy(max_age=DAY)._replace(exclude=(NASTY, "*")))
    assert plain(printed.replace("\n", "")) == printed.replace("\n", "")
    assert len(printed.splitlines()) == 13


def test_a_report_of_the_background_does_not_claim_to_have_freed_anything() -> None:
    drawn = plan(Step(entry(), "delete", WHY))
    report = Report(plan=drawn, outcomes=(Outcome(drawn.steps[0], "done"),), background=True)
    assert report_text("demo", report) == (
        "demo: cleaned 1 entry, being freed in the background (temp-status shows how far)"
    )

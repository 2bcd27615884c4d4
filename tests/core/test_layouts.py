"""Names: which are valid, and what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.core.layouts import (
    FILES,
    JOBS,
    MAX_NAME_BYTES,
    PIPELINE,
    SCRATCH,
    STAMP_BYTES,
    Layout,
    another_name,
    check_category,
    check_job_id,
    check_label,
    check_name,
    check_suffix,
    entry_name,
    is_inside,
    read_name,
)
from common.temp.errors import InvalidName, TempError
from tests.each import each

_GOOD = ["demo", "a b", " x", "thumb_nails", "_", "naïve", "日本", "e\N{COMBINING ACUTE ACCENT}"]
_GOOD += ["a.b", "-rf", "a:b", "*", "CONsole", "COM0", "com", "nul1", "demo_1696348800", "x" * 255]
_BAD = [
    ("", "is empty"),
    ("a\0b", "contains NUL"),
    ("a/b", "contains a path separator"),
    ("a\\b", "contains a path separator"),
    ("/", "contains a path separator"),
    ("..", "starts with a dot"),
    (".", "starts with a dot"),
    (".hidden", "starts with a dot"),
    ("a\nb", "contains a control or unprintable character"),
    ("a\x1b[31m", "contains a control or unprintable character"),
    ("a\x7f", "contains a control or unprintable character"),
    ("a\u202eb", "contains a control or unprintable character"),
    ("a\udcffb", "contains a control or unprintable character"),
    ("x" * 256, "is 256 bytes long and may have 255"),
    ("é" * 128, "is 256 bytes long and may have 255"),
    ("CON", "is reserved on Windows"),
    ("nul.txt", "is reserved on Windows"),
    ("Aux ", "is reserved on Windows"),
    ("com1", "is reserved on Windows"),
    ("LPT³.a.b", "is reserved on Windows"),
    ("conin$", "is reserved on Windows"),
]


@each("name", _GOOD)
def test_printable_text_that_is_one_path_component_is_kept_as_it_is(name: str) -> None:
    assert check_name(name, "name") == name
    assert check_category(name) == name


@each(("name", "problem"), _BAD)
def test_what_is_no_safe_path_component_is_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(InvalidName) as refused:
        check_name(name, "job id")
    assert str(refused.value) == f"job id {name!r} {problem}; use one plain path component"
    assert isinstance(refused.value, TempError)
    assert isinstance(refused.value, ValueError)


@each("check", [check_label, check_category, check_job_id])
@each("name", ["..", "a/b", ""])
def test_labels_categories_and_job_ids_are_checked(check: type, name: str) -> None:
    with pytest.raises(InvalidName):
        check(name)


def test_a_label_leaves_room_for_its_stamp() -> None:
    longest = "x" * (MAX_NAME_BYTES - STAMP_BYTES)
    assert check_label(longest) == longest
    assert len(entry_name(longest, 1_696_348_800, "12345678")) <= MAX_NAME_BYTES
    with pytest.raises(InvalidName, match=r"^name 'x+' is 236 bytes long and may have 235; use"):
        check_label(longest + "x")


def test_a_category_cannot_be_called_like_a_file_of_the_root() -> None:
    with pytest.raises(InvalidName) as refused:
        check_category("CACHEDIR.TAG")
    assert str(refused.value) == (
        "category 'CACHEDIR.TAG' is the name of a file of the root itself; "
        "use one plain path component"
    )


@each("suffix", ["", ".tmp", "x", " y", "..", ".tar.gz", "é"])
def test_a_suffix_that_is_part_of_a_name_is_kept(suffix: str) -> None:
    assert check_suffix(suffix, "demo") == suffix


@pytest.mark.parametrize(
    ("suffix", "problem"),
    [
        ("/../x", "contains a path separator"),
        (".a\0", "contains NUL"),
        (".\n", "contains a control or unprintable character"),
    ],
)
def test_a_suffix_that_is_no_part_of_a_name_is_refused_as_it_was_given(
    suffix: str, problem: str
) -> None:
    with pytest.raises(InvalidName) as refused:
        check_suffix(suffix, "demo")
    assert str(refused.value) == f"suffix {suffix!r} {problem}; use one plain path component"


@given(st.text("aé日", min_size=1, max_size=120), st.integers(0, 300))
def test_label_stamp_and_suffix_that_pass_make_a_name_that_fits(label: str, length: int) -> None:
    suffix = "s" * length
    try:
        check_label(label)
        check_suffix(suffix, label)
    except InvalidName:
        assert len((label + suffix).encode()) + STAMP_BYTES > MAX_NAME_BYTES
    else:
        name = entry_name(label, 1_696_348_800, "12345678") + suffix
        assert len(name.encode()) <= MAX_NAME_BYTES


@each(
    ("name", "read"),
    [
        ("demo_1696348800", ("demo", 1_696_348_800)),
        ("demo_1696348800-3fa9", ("demo", 1_696_348_800)),
        ("demo_1696348800-3fa9c0de", ("demo", 1_696_348_800)),
        ("demo_1696348800.txt", ("demo", 1_696_348_800)),
        ("demo_1696348800-3fa9.tar.gz", ("demo", 1_696_348_800)),
        ("a_1111111111_1696348800", ("a_1111111111", 1_696_348_800)),
        ("demo_16963488000", ("demo", 16_963_488_000)),
        ("a\nb_1696348800", ("a\nb", 1_696_348_800)),
        ("demo", ("demo", None)),
        ("_1696348800", ("_1696348800", None)),
        ("demo_12345678", ("demo_12345678", None)),
        ("demo_169634880000", ("demo_169634880000", None)),
        ("demo_1696348800-XYZ1", ("demo_1696348800-XYZ1", None)),
        ("demo_1696348800-3fa", ("demo_1696348800-3fa", None)),
        ("demo_١٦٩٦٣٤٨٨٠٠", ("demo_١٦٩٦٣٤٨٨٠٠", None)),
        ("demo_1696348800 ", ("demo_1696348800 ", None)),
    ],
)
def test_a_name_says_its_label_and_its_stamp(name: str, read: tuple[str, int | None]) -> None:
    assert read_name(name) == read


@given(
    st.text("ab_-.0123456789 é", min_size=1, max_size=30),
    st.integers(10**9, 10**10 - 1),
    st.sampled_from(["", "3fa9", "12345678"]),
)
def test_a_name_that_was_made_is_read_back(label: str, epoch: int, suffix: str) -> None:
    assert read_name(entry_name(label, epoch, suffix)) == (label, epoch)


@each(
    ("relative", "inside"),
    [("a/b", True), ("a/b/c", True), ("a/bc", False), ("a", False), ("a/b.c", False)],
)
def test_a_path_is_inside_only_itself_and_what_is_below(relative: str, inside: bool) -> None:
    assert is_inside(relative, "a/b") is inside


@each(
    ("layout", "name", "is_directory", "holds"),
    [
        (JOBS, "job-1", True, True),
        (JOBS, "job-1", False, False),
        (JOBS, ".tempkeep", True, False),
        (JOBS, ".tempkeep-1f", True, False),
        (FILES, "upload.wav", False, True),
        (FILES, "sub", True, True),
        (FILES, ".gitignore", False, False),
        (FILES, ".tempkeep-held-1f", False, False),
        (PIPELINE, "pipeline_artifacts_20250917_013040", True, True),
        (PIPELINE, "pipeline_artifacts_20250917_013040-3fa9", True, True),
        (PIPELINE, "pipeline_artifacts_20250917_013040", False, False),
        (PIPELINE, "pipeline_artifacts_20250917", True, False),
        (PIPELINE, "pipeline_artifacts_20250917_013040_old", True, False),
        (PIPELINE, "pipeline_artifacts_20250917_013040\n", True, False),
        (PIPELINE, "results", True, False),
    ],
)
def test_a_layout_knows_its_entries_by_name_and_kind(
    layout: Layout, name: str, is_directory: bool, holds: bool
) -> None:
    assert layout.holds(name, is_directory=is_directory) is holds


@each(
    ("name", "another"),
    [
        ("x_1696348800", "x_1696348800-c0de"),
        ("x_1696348800-beef", "x_1696348800-c0de"),
        ("x", "x.c0de"),
        ("pipeline_artifacts_20250102_030405", "pipeline_artifacts_20250102_030405-c0de"),
        ("pipeline_artifacts_20250102_030405-beef", "pipeline_artifacts_20250102_030405-c0de"),
    ],
)
def test_another_name_is_an_entrys_as_well(name: str, another: str) -> None:
    assert another_name(name, "c0de") == another
    for layout in (SCRATCH, JOBS, FILES, PIPELINE):
        said = [layout.holds(one, is_directory=True) for one in (name, another)]
        assert said[0] == said[1]


def test_only_where_the_category_is_a_directory_a_name_has_a_stamp() -> None:
    name = "demo_1696348800"
    assert SCRATCH.read_name(name) == ("demo", 1_696_348_800)
    assert JOBS.read_name(name) == ("job", None)
    assert PIPELINE.read_name("pipeline_artifacts_20250917_013040") == ("pipeline_artifacts", None)

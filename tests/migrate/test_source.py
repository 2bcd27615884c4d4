"""Positions in a file lead back to its bytes, whatever its encoding and line endings."""

from __future__ import annotations

import ast
import codecs

import pytest

from common.temp.migrate.source import Source, Unreadable
from tests.each import each

TEXT = '"""ä €"""\n\x0c\nif x:\n\ty = "é" ; z = """a\n b"""  # ö\n'.replace("if x:", "if 1:")


@each("newline", ["\n", "\r\n"])
@each("mark", [b"", codecs.BOM_UTF8])
@each("cookie", ["", "# coding: utf-8\n"])
def test_every_name_is_where_its_position_says(newline: str, mark: bytes, cookie: str) -> None:
    raw = mark + (cookie + TEXT).replace("\n", newline).encode()
    source = Source(raw)

    names = [node for node in ast.walk(source.tree) if isinstance(node, ast.Name)]

    assert sorted(source.written(name) for name in names) == ["y", "z"]
    assert source.encode(source.data) == raw
    assert [comment.text for comment in source.comments][-1] == "# ö"
    for comment in source.comments:
        assert source.data[comment.start : comment.end].decode() == comment.text


@each("encoding", ["latin-1", "iso-8859-15", "cp1252", "utf-8"])
def test_a_file_comes_back_in_its_own_encoding(encoding: str) -> None:
    raw = f"# -*- coding: {encoding} -*-\nx = 'äöü'\n".encode(encoding)
    source = Source(raw)

    assert source.written(source.tree.body[0]) == "x = 'äöü'"
    assert source.encode(source.data) == raw


@each(
    ("raw", "why"),
    [
        (b"print 'x'\n", "does not parse: line 1"),
        (b"def f(:\n", "does not parse: line 1"),
        (b"# coding: klingon\n", "unknown encoding"),
        (b"\n\nx = '\xff'\n", "is not utf-8"),
        ("x = 1\n".encode("utf-16"), "is UTF-16"),
        (b"x = 1\ry = 2\n", "lone carriage return"),
        (b"x = '\0'\n", "does not parse"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "does not parse"),
        (b"# coding: utf-7\nx = '+AMQ-'\n" + b"y = '+AMQ-+AMQ-'\n", "would not come back the same"),
    ],
)
def test_what_is_no_python_here_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        Source(raw).comments  # noqa: B018


def test_what_the_encoding_lacks_cannot_be_written() -> None:
    source = Source(b"# coding: latin-1\nx = 1\n")

    with pytest.raises(Unreadable, match="cannot be written in iso-8859-1"):
        source.encode("x = '€'\n".encode())


def test_a_comment_in_a_string_is_none() -> None:
    source = Source(b'x = "# no"\ny = """\n# no\n"""  # yes\n# alone\n')

    assert [(c.text, c.line, c.alone) for c in source.comments] == [
        ("# yes", 4, False),
        ("# alone", 5, True),
    ]


def test_lines_inside_of_strings_are_known() -> None:
    source = Source(b'x = """\na\n"""\ny = f"""\n{x}\n"""\nz = 1\n')

    assert sorted(source.inside_strings) == [2, 3, 5, 6]

"""The output of a run: a diff that git applies, text, JSON, SARIF and GitHub annotations."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from common.temp.migrate import output
from common.temp.migrate.findings import FileResult, Finding
from common.temp.migrate.output import Seen
from tests.migrate.trees import committed

LEFT = Finding("TK104", 3, 8, 3, "nobody removes it", "do it by hand")
UNSAFE = Finding("TK004", 5, 1, 6, "100% of\nit, a: b", "", "unsafe")
SAFE = Finding("TK001", 1, 2, 1, "calls it", "", "safe", status="convertible")
SEEN = [
    Seen("lib/a b,c.py", FileResult("lib/a b,c.py", (SAFE, LEFT, UNSAFE), b"old\n", b"new\n")),
    Seen("x\x1b.py", FileResult("x\x1b.py", problem="does not parse: line 1")),
    Seen("gen.py", FileResult("gen.py", skipped="is @generated")),
]
SUMS = output.totals(7, SEEN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\nb\nc\n", b"a\nB\nc\n"),
        (b"a\r\nb\r\n", b"a\r\nB\r\n"),
        (b"a\nb", b"a\nB"),
        (b"a\nb", b"a\nb\n"),
        (b"a\nb\n", b"a\nb"),
        (b"", b"new\n"),
        (b"\xef\xbb\xbfa\n\x0c\nb\x0bc\n", b"\xef\xbb\xbfa\n\x0c\nB\x0bc\n"),
        (b"# coding: latin-1\n\xe4\n", b"# coding: latin-1\n\xf6\n"),
        (b"a\x85b\x1cc\n", b"a\x85b\x1cd\n"),
    ],
)
def test_git_makes_the_new_file_of_the_old_one_by_the_diff(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    top = committed(tmp_path / "tree", {"lib/a b.py": before})
    diff = output.diff("lib/a b.py", FileResult("lib/a b.py", before=before, after=after))
    # As it is printed: findings and a summary follow.
    told = diff + b"lib/a.py:1:2: TK104 something\n7 files\n"

    subprocess.run(["git", "apply", "-"], input=told, cwd=top, check=True)

    assert (top / "lib" / "a b.py").read_bytes() == after


@pytest.mark.parametrize("name", ["a\x1b[2J\n.py", 'a"\\b\t.py', "ä\u202e.py", "\udcff.py"])
def test_an_odd_name_is_quoted_in_a_diff_as_git_does(tmp_path: Path, name: str) -> None:
    top = committed(tmp_path / "tree", {name: b"old\n"})
    diff = output.diff(name, FileResult(name, before=b"old\n", after=b"new\n"))

    subprocess.run(["git", "apply", "-"], input=diff, cwd=top, check=True)

    assert (top / name).read_bytes() == b"new\n"
    assert all(letter.isprintable() or letter == "\n" for letter in diff.decode())


def test_the_sums_count_files_and_sites() -> None:
    assert SUMS == (7, 1, 1, 2, 1, 1, 1)
    assert output.summary(SUMS, written=False) == (
        "7 files, 1 site can be converted in 1 file, 2 left (1 by --unsafe), 1 skipped, "
        "1 not readable"
    )
    assert " 1 site converted in 1 file, " in output.summary(SUMS, written=True)


def test_a_finding_is_one_line_with_place_reason_and_remedy() -> None:
    assert output.finding_line("a.py", LEFT) == ("a.py:3:8: TK104 nobody removes it; do it by hand")
    assert output.finding_line("a.py", UNSAFE).endswith("[--unsafe rewrites it]")
    assert "\n" not in output.finding_line("a\n.py", UNSAFE)


def test_json_has_every_finding_problem_and_sum() -> None:
    said = json.loads(output.as_json(SEEN, SUMS))

    assert (said["schema"], said["kind"]) == (1, "migrate")
    assert said["findings"][1] == {
        "path": "lib/a b,c.py",
        "line": 3,
        "column": 8,
        "last_line": 3,
        "code": "TK104",
        "message": "nobody removes it",
        "advice": "do it by hand",
        "fix": None,
        "status": "left",
    }
    assert [finding["fix"] for finding in said["findings"]] == ["safe", None, "unsafe"]
    assert said["problems"] == [{"path": "x\x1b.py", "what": "does not parse: line 1"}]
    assert said["skipped"] == [{"path": "gen.py", "what": "is @generated"}]
    assert said["summary"]["converted"] == 1


def test_sarif_has_rules_results_and_what_could_not_be_read() -> None:
    said = json.loads(output.as_sarif(SEEN, "1.2.3"))

    assert said["version"] == "2.1.0"
    (run,) = said["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["TK001", "TK004", "TK104"]
    assert all(rule["fullDescription"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "lib/a%20b%2Cc.py"},
        "region": {"startLine": 3, "startColumn": 8, "endLine": 3},
    }
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "does not parse" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_github_gets_one_escaped_command_for_each_finding() -> None:
    lines = output.as_github(SEEN).split("\n")

    assert lines == [
        "::warning file=lib/a b%2Cc.py,line=1,endLine=1,col=2,title=TK001::calls it",
        "::warning file=lib/a b%2Cc.py,line=3,endLine=3,col=8,title=TK104::"
        "nobody removes it; do it by hand",
        "::warning file=lib/a b%2Cc.py,line=5,endLine=6,col=1,title=TK004::100%25 of%0Ait, a: b",
        "::error file=x\\x1b.py,title=tempkeep::does not parse: line 1",
    ]

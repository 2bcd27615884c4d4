"""TK106: a temporary file that is not deleted."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule

CODE = "TK106"
EXPLAIN = """
`NamedTemporaryFile(delete=False)` and `mkstemp()` leave a file in the system's temporary directory
that has to be deleted, and usually nothing deletes it.

    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    upload(file.name)
becomes, by hand
    with TempManager.auto_cleanup_file("upload") as path:
        path.write_text(text)
        upload(path)

Never rewritten, since the code does not show how long the file is needed.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each `NamedTemporaryFile(delete=False)` and `mkstemp()`."""
    for call, meaning in module.calls:
        if module.is_fallback(call):
            continue
        if meaning.dotted == "tempfile.mkstemp":
            yield _finding(module, call)
        if meaning.dotted != "tempfile.NamedTemporaryFile":
            continue
        for keyword in call.keywords:
            said = keyword.value
            if keyword.arg == "delete" and not (isinstance(said, ast.Constant) and said.value):
                yield _finding(module, call)


def _finding(module: Module, call: ast.Call) -> Finding:
    return module.finding(
        CODE,
        call,
        "a temporary file that is not deleted",
        "use TempManager.auto_cleanup_file(), or a file in temp_working_dir()",
    )


RULES = (
    Rule(CODE, "temporary file that stays", "", EXPLAIN, (b"NamedTemporaryFile|mkstemp",), find),
)

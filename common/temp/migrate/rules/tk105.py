"""TK105: a temporary directory with arguments that nothing here has."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK105"
EXPLAIN = """
`dir=` says where the directory is to be, `delete=False` that it stays, `ignore_cleanup_errors=`,
`suffix=` and the like have reasons that nobody wrote down. `temp_working_dir` has one argument, the
name. By hand, drop the argument if its reason is gone, else keep the line and say the reason:

    with tempfile.TemporaryDirectory(dir="/data") as d:
becomes, by hand
    with temp_working_dir("import") as d:
or
    with tempfile.TemporaryDirectory(dir="/data") as d:  # tempkeep: keep TK105 200 GB at a time

Never rewritten, since the argument may matter.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory that is made with arguments."""
    for call, _, role in made(module):
        if role != "arguments":
            continue
        names = [f"{keyword.arg}=" if keyword.arg else "**" for keyword in call.keywords]
        what = ", ".join([*("an argument by place" for _ in call.args), *names])
        yield module.finding(
            CODE,
            call,
            f"a temporary directory with {what}",
            "use temp_working_dir() if the reason for it is gone, else keep the line and say why",
        )


RULES = (
    Rule(
        CODE,
        "temporary directory with arguments",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp",),
        find,
    ),
)

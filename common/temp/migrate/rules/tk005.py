"""TK005: a temporary directory in which only one child is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import blocks
from ..findings import Edit, Finding
from ..helpers import is_label
from ..module import Module
from . import Rule
from .sites import with_sites
from .tk003 import children_of
from .tk004 import TARGET

CODE = "TK005"
EXPLAIN = """
A temporary directory that is only made to hold one directory can be that directory itself.

    with tempfile.TemporaryDirectory() as d:
        work = Path(d) / "work"
        work.mkdir()
        build(work)
becomes
    with temp_working_dir("work") as work:
        build(work)

Unsafe: the directory's own name becomes `work_<epoch>`, and code that looks at `work.parent` now
sees other scratch directories. By default, TK004 rewrites the site where that is safe.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each `with` over a `TemporaryDirectory` that is used only for one child."""
    for site in with_sites(module):
        if site.call.args or site.call.keywords:
            continue
        head = children_of(module, site)
        if head is None or len(head.children) != 1:
            continue
        (child,) = head.children
        target = site.item.optional_vars
        assert isinstance(target, ast.Name)
        found = module.finding(
            CODE, site.call, "makes one directory in a temporary one; use temp_working_dir()"
        )
        edits = blocks.without(module.source, head.statements, at_head=True)
        choice = module.choose(TARGET, site.call, site.meaning)
        start, end = module.source.span(target)
        if (
            edits is None
            or choice is None
            or not is_label(child.name)
            or module.source.comments_in(module.source.span(site.call)[0], end)
        ):
            continue
        named = Edit(start, end, child.variable.encode())
        label = module.source.quoted(child.name)
        edits += [module.calling(site.call, choice.name, label, [named]), named]
        yield found.fixed("unsafe", edits, choice.imports)


RULES = (
    Rule(
        CODE,
        "temporary directory for one child",
        "unsafe",
        EXPLAIN,
        (b"TemporaryDirectory", b"mkdir"),
        find,
    ),
)

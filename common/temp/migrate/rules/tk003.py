"""TK003: a temporary directory in a test, used only for directories made in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ...core.layouts import check_name
from ...errors import InvalidName
from .. import blocks
from ..findings import Edit, Finding
from ..module import Module
from ..scopes import Scope
from . import Rule
from .sites import Child, Prologue, WithSite, is_test_code, prologue, with_sites
from .tk004 import BEYOND

CODE = "TK003"
TARGET = "pytest_temp_dirs"
EXPLAIN = """
Tests and fixtures often make a temporary directory only to make two or three directories in it.
`pytest_temp_dirs` makes these side by side in an entry with the test's name. They are deleted when
the block ends, or stay in `.tmp/test` with `PYTEST_KEEP_TEMPS=1`.

    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        yield source, target
becomes
    with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
        yield source, target

Rewritten if two or more children are named by literals, each is made by a plain `mkdir()` at the
start of the block, and the base has no other use. A child that is not made there may have to be
missing (`copytree` creates its target), so that site is left to TK004.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each `with` over a `TemporaryDirectory` in a test that is used only for its children."""
    for site in with_sites(module):
        if not is_test_code(module, site.call) or site.call.args or site.call.keywords:
            continue
        if module.has_sockets:
            continue  # their paths would contain the name of the test
        head = children_of(module, site)
        if head is None or len(head.children) < 2:
            continue
        found = module.finding(
            CODE, site.call, "makes directories in a temporary one; use pytest_temp_dirs()"
        )
        yield rewrite(module, site, head, found)


def children_of(module: Module, site: WithSite) -> Prologue | None:
    """The children that the block makes at its start, if the base has no other use."""
    statement, item = site.statement, site.item
    if len(statement.items) != 1 or not isinstance(item.optional_vars, ast.Name):
        return None
    head = prologue(module, statement.body, item.optional_vars.id, is_path=False)
    if not head.children or not all(child.is_made for child in head.children):
        return None
    if len(head.statements) == len(statement.body) or not _is_forgotten(module, statement, head):
        return None
    return head if names_are_sound(head.children) else None


def names_are_sound(children: Sequence[Child]) -> bool:
    """Whether directories can have these names, side by side."""
    names = [child.name for child in children]
    try:
        for name in names:
            check_name(name, "directory name")
    except InvalidName:
        return False
    return len(set(names)) == len(names)


def _is_forgotten(module: Module, statement: ast.With, head: Prologue) -> bool:
    """Whether the base is used only in the prologue, and bound nowhere else."""
    scope = module.scopes.scope_of(statement)
    if scope.kind != "function":
        return False
    (item,) = statement.items
    return is_used_in(module, scope, head, item.optional_vars)


def is_used_in(module: Module, scope: Scope, head: Prologue, target: ast.AST | None) -> bool:
    """Whether the base is used only in the prologue, and bound only there and by `target`."""
    scopes = module.scopes
    for name in head.bases:
        if scopes.find(name, scope) is not scope:
            return False
        nodes = [binding.node for binding in scope.bindings[name]]
        for node in (*nodes, *scopes.uses(scope, name)):
            if node is not target and not any(
                above in head.statements for above in scopes.above(node)
            ):
                return False
    return not any(inner.is_dynamic for inner in scopes.within(scope))


def rewrite(module: Module, site: WithSite, head: Prologue, found: Finding) -> Finding:
    """The site with the prologue as arguments."""
    source = module.source
    target = site.item.optional_vars
    assert isinstance(target, ast.Name)
    start, end = source.span(target)
    edits = blocks.without(source, head.statements, at_head=True)
    if edits is None or source.comments_in(source.span(site.call)[0], end):
        return found.left(
            "makes directories in a temporary one, with a comment that would be lost",
            "move the comment, or use pytest_temp_dirs() by hand",
        )
    choice = module.choose(TARGET, site.call, site.meaning)
    if choice is None:
        return found.left(*module.not_free(TARGET, site.call))
    names = ", ".join(source.quoted(child.name) for child in head.children)
    variables = ", ".join(child.variable for child in head.children)
    named = Edit(start, end, f"({variables})".encode())
    call = module.calling(site.call, choice.name, f"{len(head.children)}, [{names}]", [named])
    edits += [call, named]
    scope = module.scopes.scope_of(site.statement)
    if beyond := module.uses.beyond(scope, target.id, site.statement):
        message = f"the new directories are not the same from outside: {beyond}"
        return found.fixed("unsafe", edits, choice.imports, message, BEYOND)
    return found.fixed("safe", edits, choice.imports)


RULES = (
    Rule(
        CODE,
        "temporary directory for its children, in a test",
        "safe",
        EXPLAIN,
        (b"TemporaryDirectory", b"mkdir"),
        find,
    ),
)

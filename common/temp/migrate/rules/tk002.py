"""TK002: the definition of the legacy `get_temp_dir`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .. import blocks
from ..findings import Edit, Finding, Import
from ..helpers import NAME, Helper, module_binding, read_helper
from ..module import PACKAGE, Module
from ..source import Source, is_directive
from . import Rule
from .tk001 import READ

CODE = "TK002"
ALIAS = "shared_get_temp_dir"
EXPLAIN = """
The legacy helper gives two callers in the same second the same directory. Its definition becomes a
shim over `common.temp.get_temp_dir`, so that each remaining caller gets its own directory.

    def get_temp_dir(prefix="temp"):
        temp_base = Path(".tmp")
        temp_base.mkdir(exist_ok=True)
        temp_dir = temp_base / f"{prefix}_{int(time.time())}"
        temp_dir.mkdir(exist_ok=True)
        return temp_dir
becomes
    from common.temp import get_temp_dir as shared_get_temp_dir

    def get_temp_dir(prefix="temp"):
        return shared_get_temp_dir(prefix)

The shim warns (`FutureWarning`) once for each line that calls it; if a test run turns warnings into
errors, convert those lines as well. `--unsafe` deletes the definition, with the imports that only
it needed, if nothing in the tree refers to it: no star import, no text and no file that cannot be
read. That is unsafe because code outside the tree may use it.
"""


def find(module: Module) -> Iterator[Finding]:
    """The definition, if the module has one."""
    yield from _inside(module)
    binding = module_binding(module.scopes)
    if binding is None or binding.kind != "function" or module.is_fallback(binding.node):
        return
    node = binding.node
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    if binding.scope is not module.scopes.module:
        return
    helper = read_helper(node, module.scopes)
    if helper is None:
        if '".tmp' in module.source.written(node) or "'.tmp" in module.source.written(node):
            yield module.finding(
                CODE,
                node,
                f"{NAME} is not the legacy helper word for word",
                "compare it with common.temp.get_temp_dir, and delegate to that if you can",
            )
        return
    assert isinstance(node, ast.FunctionDef)
    if module.path in module.tree.deletable and _is_unused(module):
        found = module.finding(CODE, node, "defines the legacy get_temp_dir, which nothing uses")
        if edits := _deletion(module, node):
            yield found.fixed("unsafe", edits)
            return
    if helper.is_shim:
        return
    found = module.finding(
        CODE, node, "defines the legacy get_temp_dir; delegate to common.temp.get_temp_dir"
    )
    if odd := module.tree.odd_caller(module.path):
        yield found.left(
            f"defines the legacy get_temp_dir, and {odd} needs it as it is",
            "first fix what TK001 reports in that file",
        )
    else:
        yield _shim(module, node, helper, found)


def _inside(module: Module) -> Iterator[Finding]:
    """Each definition inside a function or a class, where a shim would not help."""
    for node in module.scopes.nodes(ast.FunctionDef):
        inside = module.scopes.scope_of(node) is not module.scopes.module
        if node.name == NAME and inside and not module.is_fallback(node):
            helper = read_helper(node, module.scopes)
            if helper is not None and not helper.is_shim:
                yield module.finding(
                    CODE,
                    node,
                    "defines the legacy get_temp_dir inside other code",
                    "delete it, and call get_debug_temp_dir() from common.temp",
                )


def _is_unused(module: Module) -> bool:
    scopes = module.scopes
    spoken = any(
        isinstance(node.value, str) and node.value == NAME for node in scopes.nodes(ast.Constant)
    )
    dynamic = any(scope.is_dynamic for scope in scopes.within(scopes.module))
    return not spoken and not dynamic and not scopes.uses(scopes.module, NAME)


def _deletion(module: Module, node: ast.FunctionDef) -> list[Edit] | None:
    parent = module.scopes.parents[node]
    if not isinstance(parent, ast.Module):
        return None
    source = module.source
    edits = blocks.without(source, [node], at_head=True)
    if edits is None:
        return None
    first = node.lineno
    while first > 1 and _is_about(source, first - 1):
        first -= 1
    if edits[-1].end < len(source.data.rstrip()):
        return [Edit(source.line_span(first)[0], edits[-1].end, b"")]
    # At the end of the file, the blank lines before it are removed too.
    while first > 1 and blocks.is_blank(source, first - 1):
        first -= 1
    return [Edit(source.line_span(first)[0], edits[-1].end, b"")]


def _is_about(source: Source, line: int) -> bool:
    """Whether a line is a comment about the definition below it, not a heading or directive."""
    said = source.line(line).strip().decode()
    return said.startswith("#") and not (
        said.startswith(("#!", "# -", "# =", "##")) or is_directive(said) or _is_note(said)
    )


def _shim(module: Module, node: ast.FunctionDef, helper: Helper, found: Finding) -> Finding:
    source = module.source
    body = node.body[1:] if _is_docstring(node.body[0]) else node.body
    start, end = source.span(body[0])[0], source.span(body[-1])[1]
    line = source.line_of(start)
    first = source.line_span(line)[0]
    begun = _first_comment(source, node, line)
    rest = source.data[end : source.line_span(source.line_of(end))[1]].strip()
    comments = source.comments_in(begun or start, source.line_span(source.line_of(end))[1])
    if source.data[first:start].strip() or (rest and not rest.startswith(b"#")):
        return found.left("defines the legacy get_temp_dir on one line", "delegate by hand")
    if any(is_directive(comment.text) for comment in comments):
        return found.left(
            "defines the legacy get_temp_dir, with a directive in its body",
            "delegate to common.temp.get_temp_dir by hand",
        )
    imports = [Import(PACKAGE, NAME, source.span(node)[0], alias=ALIAS)]
    known = module.scopes.meaning_of(ALIAS, module.scopes.inside(node))
    if known.dotted == f"{PACKAGE}.{NAME}":
        imports = []
    elif any(ALIAS in scope.bindings for scope in module.scopes.within(module.scopes.module)):
        return found.left(f"the name {ALIAS} is taken here", "delegate by hand")
    indent, newline = source.indent(line).decode(), source.newline
    # Other comments describe the old body and are no longer true.
    notes = [comment.text for comment in comments if _is_note(comment.text)]
    kept = "".join(f"{note}{newline}{indent}" for note in notes)
    stop = max([end, *(comment.end for comment in comments)])
    text = f"{kept}return {ALIAS}({helper.parameter})"
    edits = [Edit(begun or start, stop, text.encode())]
    if other := module.tree.reader(module.path):
        message = f"defines the legacy get_temp_dir, and {other} looks for its directories in .tmp"
        return found.fixed("unsafe", edits, imports, message, READ)
    return found.fixed("safe", edits, imports)


def _first_comment(source: Source, node: ast.FunctionDef, line: int) -> int:
    """The start of the comments directly above the body, which begins on `line`; 0 if there are
    none.
    """
    first = line
    while first - 1 > node.lineno and source.line(first - 1).lstrip().startswith(b"#"):
        first -= 1
    return source.line_span(first)[0] + len(source.indent(first)) if first < line else 0


def _is_docstring(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


_NOTE = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|NOTE)\b|https?://|#\d+")


def _is_note(comment: str) -> bool:
    """Whether a comment says something beyond what the code does."""
    return _NOTE.search(comment.lstrip("#")) is not None


RULES = (Rule(CODE, f"definition of the legacy {NAME}", "safe", EXPLAIN, (NAME.encode(),), find),)

"""TK001: calls of the legacy `get_temp_dir`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ..findings import Edit, Finding
from ..helpers import (
    NAME,
    OURS,
    Helper,
    is_label,
    is_no_text,
    local_helper,
    may_name,
    read_helper,
)
from ..module import Module
from ..scopes import Meaning
from . import Rule

CODE = "TK001"
TARGET = "get_debug_temp_dir"
READ = "let it ask TempManager.list_persistent_temps(), then give `--unsafe`"
EXPLAIN = """
The helper `get_temp_dir`, copied from script to script, makes `.tmp/<name>_<epoch>` in the working
directory. Two callers in the same second get the same directory, which has no known owner and whose
place depends on the working directory. `get_debug_temp_dir` makes a new directory for each call,
`.tmp/debug/<name>_<epoch>` in the project's root, which is in use while the process lives.

    out = get_temp_dir("report")
becomes
    out = get_debug_temp_dir("report")

A call with at most one argument is rewritten if the name leads to a definition with the legacy
body, directly or by imports. A call without an argument gets the default of the definition as its
name. A site is reported instead if the name may mean two things, comes from a star import or from a
module that is not in the tree, is passed on as a value, or is replaced by a test; if no directory
can have the name; and if the call is in an f-string.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each use of the helper."""
    for node, meaning, helper, _ in helper_uses(module):
        if helper is not None:
            yield _rewrite(module, node, meaning, helper)


def helper_uses(
    module: Module,
) -> Iterator[tuple[ast.Name | ast.Attribute, Meaning, Helper | None, str]]:
    """Each use of the helper's name: the node, its meaning, and the helper or why it is not
    certain.
    """
    names = {NAME, *module.tree.aliases}
    if not any(name.encode() in module.source.data for name in names):
        return
    scopes = module.scopes
    nodes: list[ast.Name | ast.Attribute] = [*scopes.nodes(ast.Name)]
    nodes += [node for node in scopes.nodes(ast.Attribute) if node.attr in names]
    for node in nodes:
        if isinstance(node.ctx, ast.Load):
            meaning = scopes.meaning(node)
            if (
                _speaks_of_it(node, meaning, names)
                and not module.is_fallback(node)
                and not _in_helper(module, node)
            ):
                yield node, meaning, *_helper(module, meaning)


_ADVICE = f"import {TARGET} from common.temp and call that, if it is the legacy helper"


def _in_helper(module: Module, node: ast.AST) -> bool:
    """Whether the call is inside the shim itself."""
    function = module.scopes.function(node)
    return function is not None and function.name == NAME


def _speaks_of_it(node: ast.Name | ast.Attribute, meaning: Meaning, names: set[str]) -> bool:
    if meaning.dotted in OURS:
        return True
    base, _, name = meaning.dotted.rpartition(".")
    if base and base != "builtins" and name in names:
        return True
    if any(dotted.rpartition(".")[2] == NAME for dotted in meaning.possible):
        return True
    if not isinstance(node, ast.Name) or node.id != NAME:
        return False
    return meaning.binding is not None or len(meaning.sources) > 1


def _helper(module: Module, meaning: Meaning) -> tuple[Helper | None, str]:
    """The helper that is meant, or why that is not certain; neither if it is something else."""
    scopes = module.scopes
    if meaning.binding is not None:
        return local_helper(meaning.binding, scopes.module, scopes), ""
    if meaning.dotted:
        helper, _, unsure = module.tree.helper(module.path, meaning.dotted)
        return helper, unsure
    if meaning.why == "star":
        known = [module.tree.helper(module.path, dotted) for dotted in meaning.possible]
        return None, meaning.doubt if any(helper or unsure for helper, _, unsure in known) else ""
    # Several definitions only matter if one of them is the legacy helper.
    is_ours = not meaning.sources or any(
        one.kind == "import" or read_helper(one.node, scopes) for one in meaning.sources
    )
    return None, meaning.doubt if is_ours else ""


def _rewrite(module: Module, node: ast.expr, meaning: Meaning, helper: Helper) -> Finding:
    call = module.scopes.parents[node]
    if not isinstance(call, ast.Call) or call.func is not node:
        return module.finding(
            CODE, node, f"`{ast.unparse(node)}` is passed on instead of called", _ADVICE
        )
    site = module.finding(CODE, call, "calls the legacy get_temp_dir; use get_debug_temp_dir")
    if why := _cannot(module, call, helper):
        return site.left(why, _ADVICE)
    replaced = module.tree.replaced(module.path, {NAME})
    if replaced:
        return site.left(f"calls the legacy get_temp_dir, which {replaced} replaces", _ADVICE)
    choice = module.choose(TARGET, node, meaning)
    if choice is None:
        return site.left(f"calls the legacy get_temp_dir, but {TARGET} is taken here", _ADVICE)
    edits = [module.replacing(node, choice.name)]
    if not call.args and not call.keywords:
        end = module.source.span(call)[1] - 1
        edits.append(Edit(end, end, module.source.quoted(helper.default or "").encode()))
    edits += [
        Edit(*_keyword_span(module, keyword), b"name_prefix")
        for keyword in call.keywords
        if keyword.arg != "name_prefix"
    ]
    if (whole := _over_lines(module, call, choice.name, edits)) is not None:
        edits = [whole]
    if other := module.tree.reader(module.path, _label(call, helper)):
        message = f"calls the legacy get_temp_dir, and {other} looks for its directories in .tmp"
        return site.fixed("unsafe", edits, choice.imports, message, READ)
    return site.fixed("safe", edits, choice.imports)


def _over_lines(module: Module, call: ast.Call, name: str, edits: Sequence[Edit]) -> Edit | None:
    """The call over several lines, if `edits` would make its only line too long."""
    source = module.source
    start, end = source.span(call)
    first = source.data.index(b"(", source.span(call.func)[1]) + 1
    if source.line_of(start) != source.line_of(end):
        return None
    text = source.data[first : end - 1]
    for edit in sorted(edits, reverse=True):
        if edit.start >= first:
            text = text[: edit.start - first] + edit.text + text[edit.end - first :]
    whole = module.calling(call, name, text.decode())
    return whole if b"\n" in whole.text else None


def _label(call: ast.Call, helper: Helper) -> str | None:
    """The known beginning of the directory's name; `None` if nothing of it is known."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    match given:
        case []:
            return helper.default
        case [ast.Constant(value=str(text))]:
            return text
        case [ast.JoinedStr(values=[ast.Constant(value=str(text)), *_])]:
            return text
    return None


def _keyword_span(module: Module, keyword: ast.keyword) -> tuple[int, int]:
    start = module.source.at(keyword.lineno, keyword.col_offset)
    assert keyword.arg is not None
    return start, start + len(keyword.arg.encode())


def _cannot(module: Module, call: ast.Call, helper: Helper) -> str:
    """Why `get_debug_temp_dir` cannot replace the call; "" if it can."""
    count = len(call.args) + len(call.keywords)
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return "calls the legacy get_temp_dir with a starred argument"
    if count > 1:
        return "calls the legacy get_temp_dir with more than one argument"
    if call.keywords and call.keywords[0].arg != helper.parameter:
        return "calls the legacy get_temp_dir with an argument that it does not have"
    if count == 0 and helper.default is None:
        return "calls the legacy get_temp_dir without a name"
    label: ast.expr | None = None
    if count:
        label = call.args[0] if call.args else call.keywords[0].value
    if count == 0 and not is_label(helper.default or ""):
        return f"its default {helper.default!r} cannot name a directory"
    if label is not None and not may_name(label):
        return f"{ast.unparse(label)} cannot name a directory"
    if label is not None and is_no_text(label, module.scopes):
        return f"{ast.unparse(label)} might not be a str, which the new function needs"
    if line := module.changes_of_directory.get(module.scopes.function(call)):
        return f"line {line} changes the working directory, and the new one is in the project"
    if beyond := module.from_outside.look(call):
        return f"the new directory is not the same from outside: {beyond}"
    if module.in_f_string(call):
        return "calls the legacy get_temp_dir inside an f-string"
    return ""


RULES = (Rule(CODE, "call of the legacy get_temp_dir", "safe", EXPLAIN, (NAME.encode(),), find),)

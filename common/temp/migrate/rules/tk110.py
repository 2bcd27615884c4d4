"""TK110: a path in `.tmp` that is written by hand and is not a site of another rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from ...store.project.project import SCRATCH_NAMES
from ..findings import Finding
from ..guards import last
from ..helpers import NAME, module_binding, read_helper
from ..module import Module
from . import Rule
from .tk007 import statements_of

CODE = "TK110"
EXPLAIN = """
Code that names `.tmp` itself makes a directory that has no owner and no age, in whatever directory
it runs. Code that deletes `.tmp` also deletes what is in use at that moment.

    os.makedirs(".tmp/cache", exist_ok=True)
becomes, by hand
    cache = TempManager.cache_dir("cache")

    CLEAN = ["build", ".tmp"]
becomes, by hand
    CLEAN = ["build"]  # and `inv temp-clean` for the rest

Never rewritten, since the code does not show what else uses that path. Listed are strings with a
path component `.tmp` or `.temp`, `.tmp` alone where a directory is meant, and commands that name
it, but not `.tmp` as a suffix or in a list of paths that a tool skips.
"""

_Role: TypeAlias = Literal["", "makes", "removes", "names"]

_PART: Final = re.compile(r"""(?:^|[\s"'=:/\\])\.te?mp(?:[/\\\s"'*;&|)]|$)""")
_MAKES: Final = frozenset({"mkdir", "makedirs", "ensure_dir", "copytree"})
_REMOVES: Final = frozenset({"rmtree", "rmdir", "removedirs", "unlink", "remove", "send2trash"})
_CLEANING: Final = re.compile(r"clean|clear|remove|purge|wipe|delete|distclean", re.IGNORECASE)
_HOLDING: Final = re.compile(r"dir|path|root|base|folder|scratch|cwd|where|place", re.IGNORECASE)
_DELETING: Final = re.compile(r"\b(?:rm|rmdir|rimraf|shutil\.rmtree|del)\b")
_MODULES: Final = ("os.", "shutil.", "pathlib.", "glob.", "contextlib.chdir")
_PATHS: Final = frozenset(
    {"absolute", "expanduser", "joinpath", "parent", "relative_to", "resolve", "with_name"}
)
_SAID: Final = {
    "makes": ("makes a directory in {} by hand", "use TempManager, which knows the project's root"),
    "removes": (
        "removes {} by hand, with what is in use there",
        "use the shared tasks clean and temp_clean, or the cleanup of TempManager",
    ),
    "names": ("names {} by hand", "ask TempManager for a directory, or keep the line and say why"),
}


def find(module: Module) -> Iterator[Finding]:
    """Each statement that names a scratch directory by hand, once."""
    scopes = module.scopes
    claimed = statements_of(module)
    told: set[int] = set()
    for constant in scopes.nodes(ast.Constant):
        text = constant.value
        if not isinstance(text, str) or not any(name in text for name in SCRATCH_NAMES):
            continue
        statement = scopes.statement(constant)
        if isinstance(scopes.parents[constant], ast.Expr) or id(statement) in told | claimed:
            continue
        if module.is_fallback(constant) or _is_of_helper(module, constant):
            continue
        role = _role(module, constant, text)
        if role:
            told.add(id(statement))
            name = ".temp" if ".temp" in text else ".tmp"
            message, advice = _SAID[role]
            yield module.finding(CODE, _whole(module, constant), message.format(name), advice)


def _whole(module: Module, node: ast.AST) -> ast.AST:
    """The f-string that `node` is a part of, whose parts have no exact position; else `node`."""
    parent = module.scopes.parents[node]
    return parent if isinstance(parent, ast.JoinedStr) else node


def _is_of_helper(module: Module, node: ast.AST) -> bool:
    """Whether `node` is inside a definition of the helper, which TK002 reports."""
    function = module.scopes.function(node)
    if function is None or function.name != NAME:
        return False
    binding = module_binding(module.scopes)
    is_the_one = binding is not None and binding.node is function
    return is_the_one or read_helper(function, module.scopes) is not None


def _role(module: Module, constant: ast.Constant, text: str) -> _Role:
    """What is done with the path; "" if the text is no path in a scratch directory."""
    bare = text.strip("/") in SCRATCH_NAMES and not text.startswith("/")
    whole = _whole(module, constant)
    parent = module.scopes.parents[whole]
    if isinstance(parent, (ast.List, ast.Tuple, ast.Set)):
        return _in_list(module, parent, text)
    if bare:
        used = _use(module, whole)
        return used if used or not _is_kept(module, whole) else "names"
    if whole is not constant and not _begins(whole, constant, text):
        return ""
    if not _PART.search(text):
        return ""
    if _DELETING.search(text):
        return "removes"
    return _use(module, whole) or "names"


def _begins(whole: ast.AST, constant: ast.Constant, text: str) -> bool:
    """Whether the scratch name in this part of an f-string is a whole path component."""
    assert isinstance(whole, ast.JoinedStr)
    first = whole.values[0] is constant
    final = whole.values[-1] is constant
    before = first or not text.startswith(SCRATCH_NAMES)
    after = final or not text.endswith(SCRATCH_NAMES)
    return before and after


def _use(module: Module, node: ast.AST) -> _Role:
    """What the code does with the path that begins at `node`; "" if it is not used as a path."""
    scopes = module.scopes
    below = node
    is_path = False
    for above in scopes.above(node):
        match above:
            case ast.BinOp(op=ast.Div()):
                is_path = True
            case ast.Attribute(attr=attribute):
                if attribute in _MAKES:
                    return "makes"
                if attribute in _REMOVES:
                    return "removes"
                if attribute not in _PATHS:
                    return "names" if is_path else ""
                is_path = True
            case ast.Call() if above.func is not below:
                called = scopes.meaning(above.func).dotted
                name = last(above.func)
                if name in _MAKES:
                    return "makes"
                if name in _REMOVES:
                    return "removes"
                if not called.startswith(_MODULES) and name not in (*_PATHS, "open"):
                    return "names" if is_path else ""
                is_path = True
            case ast.Call() | ast.keyword():
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                return _later(module, above, name) or ("names" if is_path else "")
            case ast.For() | ast.comprehension() | ast.withitem() | ast.Starred():
                return "names" if is_path else ""
            case _:
                return "names" if is_path else ""
        below = above
    return ""


def _later(module: Module, statement: ast.AST, name: str) -> _Role:
    """What the code does with the variable that holds the path."""
    home = module.scopes.find(name, module.scopes.scope_of(statement))
    uses = module.scopes.uses(home, name) if home is not None else []
    found = {_use(module, use) for use in uses if module.scopes.statement(use) is not statement}
    order: tuple[_Role, ...] = ("makes", "removes", "names")
    return next((role for role in order if role in found), "")


def _is_kept(module: Module, node: ast.AST) -> bool:
    """Whether `.tmp` is assigned to a variable or parameter that is named like a directory."""
    match module.scopes.parents[node]:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return bool(_HOLDING.search(last(target)))
        case ast.keyword(arg=str(name)):
            return bool(_HOLDING.search(name))
        case ast.arguments() as arguments:
            listed = [*arguments.posonlyargs, *arguments.args]
            pairs = zip(reversed(listed), reversed(arguments.defaults), strict=False)
            named = next((one.arg for one, default in pairs if default is node), "")
            return bool(_HOLDING.search(named))
    return False


def _in_list(module: Module, listed: ast.expr, text: str) -> _Role:
    """What is done with a path in a list; "" unless the list is of paths to clean or the arguments
    of a command.
    """
    assert isinstance(listed, (ast.List, ast.Tuple, ast.Set))
    first = listed.elts[0]
    if isinstance(first, ast.Constant) and first.value in ("rm", "rmdir", "mkdir"):
        return "makes" if first.value == "mkdir" else "removes"
    scopes = module.scopes
    for above in scopes.above(listed):
        match above:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                return "removes" if _CLEANING.search(name) else ""
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                if _CLEANING.search(last(target)) or _is_cleaned(module, above, last(target)):
                    return "removes"
            case ast.keyword(arg=str(name)) if _CLEANING.search(name):
                return "removes"
            case ast.For() if _removes(above):
                return "removes"
            case ast.Call() if listed in above.args and "/" in text and _PART.search(text):
                return "names"
            case _:
                pass
    return ""


def _is_cleaned(module: Module, statement: ast.AST, name: str) -> bool:
    """Whether a loop over the list `name`, or a command with it, removes its paths."""
    home = module.scopes.find(name, module.scopes.scope_of(statement))
    for use in module.scopes.uses(home, name) if home is not None else ():
        if _removes(module.scopes.statement(use)):
            return True
        for above in module.scopes.above(use):
            if isinstance(above, ast.For) and _removes(above):
                return True
    return False


def _removes(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        match node:
            case ast.Call(func=func) if last(func) in _REMOVES:
                return True
            case ast.Constant(value=str(text)) if _DELETING.search(text):
                return True
    return False


RULES = (Rule(CODE, "path in .tmp by hand", "", EXPLAIN, (b".tmp|.temp",), find),)

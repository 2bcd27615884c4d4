"""Facts about one file: its uses of the helper, and imports of the package that may fail.

Facts are gathered file by file, so several processes can do it. Few files have any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from . import helpers, swaps
from .beside import Beside
from .guards import Guards, last
from .helpers import NAME, Helper
from .scopes import Scopes
from .source import Source, Unreadable

ANY: Final = f"?.{NAME}"
"""A reference to anything with the helper's name."""


class Facts(NamedTuple):
    """What one file does with the helper.

    - `helper`: its own definition of it
    - `imported`: the dotted name that it imports the helper from
    - `other`: the name means something else in this file
    - `pure`: importing the file only defines things
    - `references`: dotted names with which it refers to helpers of other modules
    - `stars`: modules that it star-imports
    - `patched`: strings and names with which it replaces something elsewhere, as tests do
    - `odd`: it needs the legacy behaviour
    - `aliases`: other names that it gives the helper, each with the dotted name behind it
    - `renamed`: other names that it gives to names that a rewrite may stop using
    - `borrowed`: names that it takes from modules that only import them, with the module
    - `flags`: its names that tell whether the package is installed, and their value if it is
    - `stand_ins`: the modules that it imports where the package is missing
    - `swaps`: what it replaces or watches while other code runs (see `swaps`)
    - `reads`: glob patterns with which it looks for directories in `.tmp`
    - `sought`: strings that it looks for in paths
    - `imports`: the modules that it imports, if it has swaps
    """

    helper: Helper | None = None
    imported: str = ""
    other: bool = False
    pure: bool = False
    references: tuple[str, ...] = ()
    stars: tuple[str, ...] = ()
    patched: tuple[str, ...] = ()
    odd: bool = False
    aliases: tuple[tuple[str, str], ...] = ()
    renamed: tuple[str, ...] = ()
    borrowed: tuple[tuple[str, str], ...] = ()
    flags: tuple[tuple[str, bool], ...] = ()
    stand_ins: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    sought: tuple[str, ...] = ()

    @property
    def other_names(self) -> tuple[str, ...]:
        """The names under which another file may import the helper or a renamed name from here."""
        return (*self.renamed, *(name for name, _ in self.aliases))

    @property
    def is_empty(self) -> bool:
        """Whether there are no facts about the file."""
        return self == Facts()


REPLACED: Final = frozenset({NAME, "tempfile", "TemporaryDirectory", "mkdtemp"})
_REPLACERS: Final = frozenset({"patch", "object", "setattr", "replace", "multiple", "dict"})


_STAR: Final = re.compile(rb"^[ \t\f]*from\s+([\w. \t]+?)\s*import\s*\(?\s*\*", re.MULTILINE)
_SET: Final = re.compile(
    rb"\b(?:tempfile\.\w+|\w+\.(?:tempfile|mkdtemp|TemporaryDirectory))\s*=[^=]"
)


_LENT: Final = frozenset(
    {*REPLACED, "Path", "mkstemp", "os", "pathlib", "rmtree", "shutil", "time"}
)
"""Names that a rewrite may leave unused, so that their import is removed."""

_FROM: Final = re.compile(
    rb"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n;]*)", re.MULTILINE
)
_IMPORTS: Final = re.compile(
    rb"^[ \t]*(?:from|import)\b((?:[^\n(]*\([^)]*\)|[^\n]*))", re.MULTILINE
)
_BY_TEXT: Final = re.compile(
    rb"""\b(?:import_module|__import__|modules|run_module)[(\[]\s*["']([\w.]+)"""
)
_WORD: Final = re.compile(rb"\w+")
_TAKEN: Final = "tempfile|TemporaryDirectory|mkdtemp|shutil|Path"
_LAST_WORD: Final = re.compile(rb"\w+\Z")
_SELF: Final = frozenset({"self", "cls"})
_LONGEST_NAME: Final = 80
_AS: Final = re.compile(rb"\bimport[ \t]+([\w.]+)[ \t]+as[ \t]+(\w+)")
_COMMENT: Final = re.compile(rb"#[^\n]*")
_RENAMED: Final = re.compile(
    rb"\b(?:tempfile|TemporaryDirectory|mkdtemp|Path|rmtree|shutil|time)[ \t]+as[ \t]+(\w+)"
)
_MISSING: Final = (b"ImportError", b"ModuleNotFound", b"find_spec", b"suppress", b"except")


def gather(raw: bytes) -> Facts:
    """The facts of a file with this content. Most files have none, and few are parsed."""
    has_site = NAME.encode() in raw or any(word.encode() in raw for word in REPLACED)
    renamed = {name.decode("latin-1") for name in _RENAMED.findall(raw)} if has_site else set()
    swapped = tuple(sorted({swap for swap, _ in swaps.find(raw) if swaps.matter_elsewhere(swap)}))
    lent = Facts(
        renamed=tuple(sorted(renamed)),
        borrowed=borrowed(raw, _LENT),
        swaps=swapped,
        imports=swaps.imported(raw) if swapped else (),
        reads=swaps.patterns(raw),
        sought=swaps.sought(raw),
    )
    if NAME.encode() not in raw and not _may_replace(raw) and not _may_be_optional(raw):
        if b"import *" not in raw:
            return lent
        # May also match inside a string; then an import that could be removed is kept.
        stars = {star.decode("latin-1").replace(" ", "") for star in _STAR.findall(raw)}
        return lent._replace(stars=tuple(sorted(stars)))
    try:
        source = Source(raw)
        return _facts(source.tree, Scopes(source.tree), lent)
    except (Unreadable, RecursionError):
        return lent._replace(references=(ANY,)) if NAME.encode() in raw else lent


def imported_words(raw: bytes) -> set[str]:
    """The words in the import statements of a file and in its imports by string."""
    said = b" ".join([*_IMPORTS.findall(raw), *_BY_TEXT.findall(raw)])
    return {word.decode("latin-1") for word in _WORD.findall(said)}


def borrowed(raw: bytes, names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The `names` that the file takes from modules outside the standard library, with these."""
    found = set()
    whole = raw.replace(b"\\\r\n", b"").replace(b"\\\n", b"") if b"import" in raw else b""
    for module, listed in _FROM.findall(whole):
        if _is_standard(module.decode("latin-1")):
            continue
        for part in _COMMENT.sub(b"", listed).strip(b"()").split(b","):
            name = (part.split() or [b""])[0].decode("latin-1")
            if name in names:
                found.add((module.decode("latin-1"), name))
    others = names - _LENT
    said = _attributes(raw, "|".join(map(re.escape, sorted(others))) if others else _TAKEN)
    real = {alias: module for module, alias in _AS.findall(raw)} if said else {}
    words = imported_words(raw) if said else set()
    for base, taken in said:
        holder = real.get(base, base).decode("latin-1")
        if holder not in words and holder not in _SELF and not _is_standard(holder):
            holder = "?"  # a variable that may hold any module
        if not _is_standard(holder):
            found.add((holder, taken.decode("latin-1")))
    return tuple(sorted(found))


def _attributes(raw: bytes, words: str) -> list[tuple[bytes, bytes]]:
    """Each use of one of `words` as an attribute, with the name before it."""
    found = []
    # Search for the dot first: a pattern that began with the name would try every word.
    for match in re.finditer(rf"\.({words})\b".encode(), raw):
        base = _LAST_WORD.search(raw, max(0, match.start() - _LONGEST_NAME), match.start())
        if base is not None:
            found.append((base.group(), match[1]))
    return found


def _may_be_optional(raw: bytes) -> bool:
    """Whether the file may run without the package, or tell other files that it is missing."""
    if b"common" not in raw and b"tempkeep" not in raw:
        return False
    named = b"common.temp" in raw or b"tempkeep" in raw or b"common import temp" in raw
    return named and any(word in raw for word in _MISSING)


def _may_replace(raw: bytes) -> bool:
    """Whether the file may replace a function of `tempfile`, as tests do."""
    if not any(name.encode() in raw for name in REPLACED):
        return False
    called = any(word in raw for word in (b"patch(", b"patch.", b"setattr("))
    return called or _SET.search(raw) is not None


def _facts(tree: ast.Module, scopes: Scopes, lent: Facts) -> Facts:
    bindings = scopes.module.bindings.get(NAME, [])
    binding = helpers.module_binding(scopes)
    helper = helpers.local_helper(binding, scopes.module, scopes)
    imported = binding.dotted if binding is not None else ""
    guards = Guards(scopes)
    return lent._replace(
        helper=helper,
        imported=imported,
        other=bool(bindings) and helper is None and not imported,
        pure=bool(bindings) and is_pure(tree),
        references=tuple(sorted(_references(scopes))),
        stars=tuple(f"{'.' * star.level}{star.module or ''}" for star in scopes.stars),
        patched=tuple(sorted(_patched(scopes))),
        odd=_is_odd(scopes, helper),
        aliases=tuple(_aliases(scopes)),
        flags=tuple(guards.exported.items()) if guards.first is not None else (),
        stand_ins=guards.stand_ins if guards.first is not None else (),
    )


def _aliases(scopes: Scopes) -> Iterator[tuple[str, str]]:
    for name, bindings in scopes.module.bindings.items():
        if name != NAME and len(bindings) == 1 and bindings[0].dotted.endswith("." + NAME):
            yield name, bindings[0].dotted


def _is_odd(scopes: Scopes, helper: Helper | None) -> bool:
    """Whether a helper is called with a name that only the legacy one accepts, is assigned to
    another name, or its result is used in a way that needs a relative path.
    """
    if helper is not None and helper.default is not None and not helpers.is_label(helper.default):
        return True
    if any(_is_stored(node, scopes) for node in _named(scopes)):
        return True
    beside = Beside(scopes, keeps_name=True)
    calls = scopes.nodes(ast.Call)
    moving = {scopes.function(one) for one in calls if last(one.func) == "chdir"}
    for call in calls:
        named = scopes.meaning(call.func)
        means = {named.dotted, *named.possible, getattr(call.func, "id", "")}
        if any(one.rpartition(".")[2] == NAME for one in means):
            labels = [*call.args, *(keyword.value for keyword in call.keywords)]
            if any(
                not helpers.may_name(label) or helpers.is_no_text(label, scopes) for label in labels
            ):
                return True
            if scopes.function(call) in moving or beside.look(call):
                return True
    return False


def _named(scopes: Scopes) -> Iterator[ast.Name | ast.Attribute]:
    yield from (node for node in scopes.nodes(ast.Name) if node.id == NAME)
    yield from (node for node in scopes.nodes(ast.Attribute) if node.attr == NAME)


def _is_stored(node: ast.Name | ast.Attribute, scopes: Scopes) -> bool:
    """Whether the helper is assigned to another name here, so that its calls are not seen."""
    holder = scopes.parents[node]
    if isinstance(holder, ast.Call) and node in holder.args:
        holder = scopes.parents[holder]  # as in `make = staticmethod(get_temp_dir)`
    return isinstance(holder, ast.Assign)


def is_pure(tree: ast.Module) -> bool:
    """Whether importing the module only imports the standard library and defines things."""
    for statement in tree.body:
        match statement:
            case ast.Import(names=names):
                if not all(_is_standard(alias.name) for alias in names):
                    return False
            case ast.ImportFrom(module=module, level=0):
                if not _is_standard(module or ""):
                    return False
            case ast.FunctionDef(decorator_list=[]) | ast.AsyncFunctionDef(decorator_list=[]):
                continue
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.Assign(value=value) if _is_value(value):
                continue
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                continue
            case _:
                return False
    return True


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _is_value(node: ast.expr) -> bool:
    inner = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.expr_context)
    return all(isinstance(one, inner) for one in ast.walk(node))


def _references(scopes: Scopes) -> set[str]:
    found = {
        binding.dotted
        for bindings in list(scopes.module.bindings.values())
        for binding in bindings
        if binding.dotted.endswith("." + NAME)
    }
    for node in scopes.nodes(ast.ImportFrom):
        for alias in node.names:
            if alias.name == NAME:
                module = "." * node.level + (node.module or "")
                found.add(f"{module}{'' if module.endswith('.') else '.'}{NAME}")
    for constant in scopes.nodes(ast.Constant):
        docstring = isinstance(scopes.parents[constant], ast.Expr)
        if isinstance(constant.value, str) and NAME in constant.value and not docstring:
            found.add(ANY)
    for attribute in scopes.nodes(ast.Attribute):
        if attribute.attr == NAME:
            meaning = scopes.meaning(attribute)
            found |= {meaning.dotted} if meaning.dotted else set(meaning.possible) or {ANY}
    return found


def _patched(scopes: Scopes) -> set[str]:
    found = set()
    for call in scopes.nodes(ast.Call):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        called = called or (call.func.id if isinstance(call.func, ast.Name) else "")
        if called in _REPLACERS:
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    parts = argument.value.split(".")
                    if REPLACED & set(parts):
                        found.add(argument.value)
    for target in scopes.nodes(ast.Attribute):
        if target.attr in REPLACED and isinstance(target.ctx, ast.Store):
            base = scopes.meaning(target.value).dotted
            found |= {f"{base}.{target.attr}"} if base else set()
    return found

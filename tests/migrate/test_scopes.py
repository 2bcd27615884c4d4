"""What a name refers to at a given place."""

from __future__ import annotations

import ast

import pytest

from common.temp.migrate.scopes import Scopes
from tests.each import each


def meant(code: str) -> str:
    """What the name `X`, or `X.y`, means where the module calls it: a dotted name, "local", or why
    nobody knows.
    """
    scopes = Scopes(ast.parse(code))
    for call in scopes.nodes(ast.Call):
        base = call.func
        while isinstance(base, ast.Attribute):
            base = base.value
        if isinstance(base, ast.Name) and base.id == "X":
            meaning = scopes.meaning(call.func)
            return meaning.dotted or ("local" if meaning.binding else meaning.why)
    raise AssertionError("no call of X")


@each(
    ("code", "meaning"),
    [
        ("import a as X\nX.y()", "a.y"),
        ("import X\nX()", "X"),
        ("import X.b\nX.b.c()", "X.b.c"),
        ("import a.b as X\nX()", "a.b"),
        ("from a import X\nX()", "a.X"),
        ("from . import X\nX()", ".X"),
        ("from ..a.b import c as X\nX()", "..a.b.c"),
        ("def f():\n    from a import X\n    X()", "a.X"),
        ("from a import X\ndef f():\n    def g():\n        X()", "a.X"),
        ("from a import X\nclass C:\n    X = 1\n    def f(self):\n        X()", "a.X"),
        ("from a import X\n[X() for y in z]", "a.X"),
        ("from a import X\n[X for X in X()]", "a.X"),
        ("from a import X\ndef f(y=X()):\n    X = 1", "a.X"),
        ("from a import X\n@X()\ndef f(X): pass", "a.X"),
        ("from a import X\nclass C(X()):\n    X = 1", "a.X"),
        ("from a import X\ndef f() -> X():\n    X = 1", "a.X"),
        ("from a import X\nlambda y=X(): y", "a.X"),
        ("def f():\n    global X\n    from a import X\ndef g():\n    X()", "a.X"),
        ("def f():\n    from a import X\n    def g():\n        nonlocal X\n        X()", "a.X"),
        ("from a import X\nfrom a import X\nX()", "a.X"),
        ("import X.a\nimport X.b\nX.b.c()", "X.b.c"),
        ("def f(X):\n    X()", "local"),
        ("def f(*X):\n    X()", "local"),
        ("def f(*, X=1):\n    X()", "local"),
        ("def f(**X):\n    X()", "local"),
        ("lambda X: X()", "local"),
        ("from a import X\ndef f():\n    X = 1\n    X()", "local"),
        ("from a import X\ndef f():\n    for X in y:\n        X()", "local"),
        ("from a import X\ndef f():\n    with y as X:\n        X()", "local"),
        ("from a import X\ndef f():\n    with y as (b, [X, *c]):\n        X()", "local"),
        (
            "from a import X\ndef f():\n    try:\n        pass\n    except E as X:\n        X()",
            "local",
        ),
        ("from a import X\ndef f():\n    match y:\n        case [X]:\n            X()", "local"),
        (
            "from a import X\ndef f():\n    match y:\n        case {'a': 1, **X}:\n            X()",
            "local",
        ),
        ("from a import X\ndef f():\n    if (X := 1):\n        X()", "local"),
        ("from a import X\ndef f():\n    [(X := y) for y in z]\n    X()", "local"),
        ("from a import X\n[X() for X in y]", "local"),
        ("from a import X\ndef f():\n    X()\n    X = 1", "local"),
        ("class X: pass\nX()", "local"),
        ("def X(): pass\nX()", "local"),
        ("try:\n    from a import X\nexcept ImportError:\n    from b import X\nX()", "ambiguous"),
        ("try:\n    import X\nexcept ImportError:\n    X = None\nX.y()", "ambiguous"),
        ("from a import X\ndel X\nX()", "ambiguous"),
        ("from a import X\ndef f():\n    global X\n    X = 1\nX()", "ambiguous"),
        ("from a import X\nX += 1\nX()", "ambiguous"),
        ("from a import *\nX()", "star"),
        ("from a import *\ndef X(): pass\nX()", "local"),
        ("X()", "unbound"),
        ("class C:\n    def X(self): pass\n    def f(self):\n        X()", "unbound"),
    ],
)
def test_the_meaning_of_a_name(code: str, meaning: str) -> None:
    assert meant(code) == meaning


def test_a_builtin_is_one_unless_it_is_bound() -> None:
    scopes = Scopes(ast.parse("print(open)\ndef f(open):\n    open()"))
    first, second = scopes.nodes(ast.Call)

    assert scopes.meaning(first.func).dotted == "builtins.print"
    assert scopes.meaning(second.func).dotted == ""


def test_the_uses_of_a_name_are_those_that_mean_its_binding() -> None:
    code = "a = 1\ndef f():\n    print(a)\ndef g(a):\n    print(a)\n[a for a in (a,)]\n"
    scopes = Scopes(ast.parse(code + "class C:\n    b = a\n"))

    assert [use.lineno for use in scopes.uses(scopes.module, "a")] == [3, 6, 8]


@pytest.mark.skipif("sys.version_info < (3, 12)", reason="new in Python 3.12")
def test_type_parameters_are_names_of_their_function() -> None:
    assert meant("from a import X\ndef f[X](y: X):\n    X()") == "local"

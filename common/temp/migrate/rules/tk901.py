"""TK901: a `tasks.py` without the shared tasks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..findings import Finding, Import
from ..module import PACKAGE, Module
from . import Rule

CODE = "TK901"
TASKS = f"{PACKAGE}.tasks"
_OURS = re.compile(r"(?:^|\.)(?:common\.temp|tempkeep)(?:\.tasks)?(?:\.|$)")
EXPLAIN = """
With the shared tasks in a project's `tasks.py`, `inv temp-status` and `inv temp-clean` work in it.

    from invoke import task
becomes
    from invoke import task

    from common.temp.tasks import clean, temp_clean, temp_status, …  # noqa: F401

Names that the file defines itself are left out, so its own `clean` stays. A file that imports any
of the shared tasks is left as it is. A `tasks.py` that builds its own `ns` is reported: add the
tasks to it by hand.
"""


def find(module: Module) -> Iterator[Finding]:
    """The file itself, if it is an invoke `tasks.py` without any of the shared tasks."""
    scopes = module.scopes
    bindings = scopes.module.bindings
    if module.path.rpartition("/")[2] != "tasks.py" or module.tree.is_in_package(module.path):
        return
    imports = [
        binding
        for bound in bindings.values()
        for binding in bound
        if binding.dotted.partition(".")[0] == "invoke"
    ]
    if not imports or _has_them(module):
        return
    first = imports[0].node
    found = module.finding(CODE, first, "has none of the shared tasks; import them")
    if "ns" in bindings or "namespace" in bindings:
        yield found.left(
            "has none of the shared tasks, and a collection of its own",
            "import them from common.temp.tasks and add them to it",
        )
        return
    taken = set(bindings) | _task_names(module)
    names = [
        name for name in shared_tasks() if name not in taken and name.replace("_", "-") not in taken
    ]
    if names:
        end = len(module.source.data)
        yield found.fixed("safe", (), [Import(TASKS, name, end, unused=True) for name in names])


@cache
def shared_tasks() -> tuple[str, ...]:
    """The names in `__all__` of `tasks`, which is parsed and not imported, since it is a higher
    layer.
    """
    tree = ast.parse((Path(__file__).parents[2] / "tasks.py").read_bytes())
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return tuple(sorted(ast.literal_eval(value)))
    raise AssertionError("tasks.py has no __all__")


def _has_them(module: Module) -> bool:
    scopes = module.scopes
    imports = [alias.name for node in scopes.nodes(ast.Import) for alias in node.names]
    brought = [one.dotted for bound in scopes.module.bindings.values() for one in bound]
    stars = [star.module or "" for star in scopes.stars]
    return any(_OURS.search(dotted) for dotted in (*imports, *brought, *stars))


def _task_names(module: Module) -> set[str]:
    """The names given to tasks by `@task(name=…)`."""
    found = set()
    for call, meaning in module.calls:
        if {"invoke.task", "invoke.tasks.task"} & {meaning.dotted, *meaning.possible}:
            for keyword in call.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    found.add(str(keyword.value.value))
    return found


RULES = (Rule(CODE, "tasks.py without the shared tasks", "safe", EXPLAIN, (b"invoke",), find),)

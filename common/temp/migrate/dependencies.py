"""Whether a project declares the package as a dependency, and where it could."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from .settings import ini, read_bytes, remembered, table, toml

DISTRIBUTION: Final = "tempkeep"
DEV_GROUPS: Final = ("test", "tests", "testing", "dev")
"""The groups for dependencies that only tests and tools need, in order of preference."""

_DEV_FILES: Final = re.compile(
    r"(?:dev|tests?|testing)\b|[-_](?:dev|tests?|testing)\.", re.IGNORECASE
)
_REQUIREMENTS: Final = re.compile(
    r"(?:.*[-_.])?requirements?(?:[-_.].*)?\.(?:txt|in)", re.IGNORECASE
)
_NAME: Final = re.compile(r"\s*['\"]?([A-Za-z0-9][A-Za-z0-9._-]*)")
_INCLUDED: Final = re.compile(r"\s*(?:-r|--requirement)[\s=]*(\S+)")
_EDITABLE: Final = re.compile(r"\s*(?:-e|--editable)[\s=]*(\S+)|\s*(\.{0,2}/\S+)")
_FOLLOWED: Final = 5


class Place(NamedTuple):
    """Where a project lists dependencies: the file, the keys of the list in it, and whether these
    are installed wherever the project runs.
    """

    file: str
    keys: tuple[str, ...]
    always: bool
    has_it: bool

    @property
    def shown(self) -> str:
        """The place in words."""
        if not self.keys:
            return self.file
        *above, key = self.keys
        header = f"[{'.'.join(above)}] " if above else ""
        return f"{header}{key} of {self.file}"


@remembered
def project_of(top: str, directory: str) -> str:
    """The nearest directory upward that declares dependencies, else the nearest project, else
    `top`.
    """
    nearest = ""
    above = directory
    while True:
        if places(above):
            return above
        if not nearest and any(os.path.isfile(os.path.join(above, one)) for one in _PROJECTS):
            nearest = above
        if len(above) <= len(top):
            return nearest or top
        above = os.path.dirname(above)


_PROJECTS: Final = ("pyproject.toml", "setup.py", "setup.cfg")


@remembered
def places(project: str) -> tuple[Place, ...]:
    """Every place that lists dependencies of the project, those of its own distribution first."""
    found = [*_in_pyproject(project), *_in_setup_cfg(project), *_in_setup_py(project)]
    found += _in_pipfile(project)
    found += _in_requirements(project)
    return tuple(found)


def declares(project: str, *, always: bool) -> bool | None:
    """Whether the project depends on the package; `None` if it declares no dependencies.

    `always` counts only what is installed wherever the project runs.
    """
    listed = places(project)
    if not listed:
        return None
    name = str(table(toml(os.path.join(project, "pyproject.toml")), "project").get("name", ""))
    if _normal(name) == DISTRIBUTION:
        return True
    return any(place.has_it and (place.always or not always) for place in listed)


def best_place(project: str, *, always: bool) -> Place:
    """Where to add the package. Unless `always`, this is a group for tests or tools, if any."""
    listed = places(project)
    if not always:
        for group in DEV_GROUPS:
            for place in listed:
                if not place.always and place.keys and group in place.keys[-2:]:
                    return place
        for place in listed:
            if not place.always and not place.keys and _DEV_FILES.search(place.file):
                return place
    return next((place for place in listed if place.always), listed[0])


# -- where dependencies are listed ----------------------------------------------------------------


def _in_pyproject(project: str) -> Iterator[Place]:
    file = "pyproject.toml"
    document = toml(os.path.join(project, file))
    own = table(document, "project")
    dynamic = own.get("dynamic", [])
    if "name" in own and not ("dependencies" in dynamic and "dependencies" not in own):
        yield Place(file, ("project", "dependencies"), True, _has(own.get("dependencies")))
    lists = (
        ("project", "optional-dependencies"),
        ("dependency-groups",),
        ("tool", "pdm", "dev-dependencies"),
    )
    for keys in lists:
        for group, listed in table(document, *keys).items():
            yield Place(file, (*keys, group), False, _has(listed))
    uv = table(document, "tool", "uv")
    if "dev-dependencies" in uv:
        keys = ("tool", "uv", "dev-dependencies")
        yield Place(file, keys, False, _has(uv["dev-dependencies"]))
    poetry = table(document, "tool", "poetry")
    if "dependencies" in poetry:
        yield Place(file, ("tool", "poetry", "dependencies"), True, _has(poetry["dependencies"]))
    if "dev-dependencies" in poetry:
        keys = ("tool", "poetry", "dev-dependencies")
        yield Place(file, keys, False, _has(poetry["dev-dependencies"]))
    for group, described in table(poetry, "group").items():
        if isinstance(described, dict) and "dependencies" in described:
            of_group = ("tool", "poetry", "group", group, "dependencies")
            yield Place(file, of_group, False, _has(described["dependencies"]))
    for name, described in table(document, "tool", "hatch", "envs").items():
        for key in ("dependencies", "extra-dependencies"):
            if isinstance(described, dict) and key in described:
                yield Place(file, ("tool", "hatch", "envs", name, key), False, _has(described[key]))


def _in_setup_cfg(project: str) -> Iterator[Place]:
    file = "setup.cfg"
    parser = ini(os.path.join(project, file))
    if parser.has_option("options", "install_requires"):
        listed = parser.get("options", "install_requires").splitlines()
        yield Place(file, ("options", "install_requires"), True, _has(listed))
    if parser.has_section("options.extras_require"):
        for extra in parser.options("options.extras_require"):
            listed = parser.get("options.extras_require", extra).splitlines()
            yield Place(file, ("options.extras_require", extra), False, _has(listed))


def _in_setup_py(project: str) -> Iterator[Place]:
    text = _text(project, "setup.py")
    if "install_requires" in text:
        quoted = re.findall(r"['\"]([^'\"\n]+)['\"]", text)
        yield Place("setup.py", ("install_requires",), True, _has(quoted))


def _in_pipfile(project: str) -> Iterator[Place]:
    document = toml(os.path.join(project, "Pipfile"))
    for key, always in (("packages", True), ("dev-packages", False)):
        if key in document:
            yield Place("Pipfile", (key,), always, _has(document[key]))


def _in_requirements(project: str) -> Iterator[Place]:
    try:
        names = sorted(os.listdir(project))
    except OSError:
        return
    files = [name for name in names if _REQUIREMENTS.fullmatch(name)]
    if "requirements" in names and os.path.isdir(os.path.join(project, "requirements")):
        inside = sorted(os.listdir(os.path.join(project, "requirements")))
        files += [f"requirements/{name}" for name in inside if name.endswith((".txt", ".in"))]
    # A `.txt` file beside a `.in` file of the same name is generated from it.
    files = [one for one in files if f"{one[:-4]}.in" not in files or one.endswith(".in")]
    for file in sorted(files, key=lambda one: (bool(_DEV_FILES.search(one)), one)):
        always = not _DEV_FILES.search(file)
        yield Place(file, (), always, _has(_required(project, file, _FOLLOWED)))


def _required(project: str, file: str, depth: int) -> list[str]:
    """The lines of a requirements file and of the files that it includes."""
    lines = []
    for line in _text(project, file).splitlines():
        included = _INCLUDED.match(line)
        if included is None:
            lines.append(line)
        elif depth:
            inner = os.path.join(os.path.dirname(file), included[1])
            lines += _required(project, inner, depth - 1)
    return lines


def _has(listed: Any) -> bool:
    """Whether the package is among requirements or the keys of a table."""
    return any(isinstance(one, str) and is_it(one) for one in listed or ())


def is_it(requirement: str) -> bool:
    """Whether a requirement is for the package."""
    editable = _EDITABLE.match(requirement)
    if editable is not None:
        path = editable[1] or editable[2]
        return _normal(os.path.basename(path.rstrip("/"))) == DISTRIBUTION
    named = _NAME.match(requirement.partition("#egg=")[2] or requirement)
    return named is not None and _normal(named[1]) == DISTRIBUTION


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(project: str, file: str) -> str:
    try:
        return read_bytes(os.path.join(project, file)).decode(errors="replace")
    except (OSError, ValueError):
        return ""

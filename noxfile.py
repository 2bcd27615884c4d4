"""Run the tests on every installed CPython that is supported: `nox`.

`nox -s versions` runs those of them that a version of Python could make a difference to.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests"]

PYTHONS = ["3.11", "3.12", "3.13"]
# What these show is of the disk, the kernel, the browser, pip and pytest, or takes long.
SAME_ON_ALL = [
    "faults",
    "migrate/test_foreign_files.py",
    "migrate/test_legacy_monorepo.py",
    "migrate/test_property.py",
    "report/test_html.py",
    "store",
    "test_asking.py",
    "test_failure_messages.py",
    "test_hosts.py",
    "test_leaks.py",
    "test_must_hold.py",
    "test_packaging.py",
    "test_pictures.py",
    "test_pytest_plugin.py",
    "test_tasks_clean.py",
    "test_vendor.py",
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def versions(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    left_out = [f"--ignore=tests/{path}" for path in SAME_ON_ALL]
    session.run("python", "-m", "pytest", "tests", *left_out, *session.posargs)

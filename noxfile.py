"""Run the tests on every installed CPython that is supported: `nox`.

`nox -s smoke` runs the tests that are likely to depend on the version of Python, and
`nox -s coverage` runs all tests and checks how many lines and branches of the package they reach.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests"]

PYTHONS = ["3.11", "3.12", "3.13"]
# The promises end to end, each face, the command line, and code that reads syntax trees.
SMOKE = [
    "core",
    "migrate/test_cases.py",
    "migrate/test_engine.py",
    "schedule/test_command.py",
    "test_commands.py",
    "test_contexts.py",
    "test_lifecycles.py",
    "test_main.py",
    "test_must_hold.py",
    "test_names.py",
    "test_plugin_loading.py",
    "test_tracking_manager.py",
    "test_until.py",
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    limits = ("--cov-report=term:skip-covered", "--cov-fail-under=94")
    session.run("python", "-m", "pytest", "--cov", *limits, *session.posargs)


@nox.session(python=PYTHONS)
def smoke(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    paths = [f"tests/{path}" for path in SMOKE]
    session.run("python", "-m", "pytest", *paths, *session.posargs)

"""What pytest loads wherever tempkeep is installed: it adds the plugin, or says why it cannot.

A module of its own, so that no package of a host is imported for it, and so that whatever is wrong
with the plugin does not end a run that may have no use for it. PYTEST_DONT_REWRITE: there is
nothing to rewrite.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from importlib import import_module
from types import ModuleType

import pytest

NAMES = ("tempkeep.pytest_plugin", "common.temp.pytest_plugin")
"""By which a `conftest.py` or `-p` may ask for the plugin, or do without it."""


@pytest.hookimpl(hookwrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Add the plugin once the first `conftest.py` files are loaded, which may bring it along."""
    yield
    manager = early_config.pluginmanager
    if any(manager.is_blocked(name) for name in NAMES):
        return
    try:
        _add_plugin(manager)
    except Exception as error:  # whatever it is, the tests run
        _warn(early_config, error)


def _add_plugin(manager: pytest.PytestPluginManager) -> None:
    plugin = import_module(NAMES[0])
    if not manager.is_registered(plugin):
        manager.register(plugin, plugin.__name__)
    for name in NAMES:  # so that a test module that asks for it later finds it there
        if not manager.has_plugin(name):
            manager.register(ModuleType(name), name)


def _warn(config: pytest.Config, error: Exception) -> None:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    text = (
        f"the plugin of tempkeep cannot be loaded ({said}), so its fixtures and options are "
        "missing; install tempkeep again, or run pytest with -p no:tempkeep"
    )
    try:
        config.issue_config_time_warning(pytest.PytestConfigWarning(text), stacklevel=2)
    except Warning:  # where warnings are errors
        print(f"warning: {text}", file=sys.stderr)

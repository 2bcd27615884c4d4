"""The entry point that pytest loads if tempkeep is installed: adds the plugin, or says why not.

It is a separate module so that loading it imports no package of a host, and so that a broken plugin
does not end runs that do not use it. PYTEST_DONT_REWRITE: it has nothing to rewrite.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from importlib import import_module
from types import ModuleType

import pytest

NAMES = ("tempkeep.pytest_plugin", "common.temp.pytest_plugin")
"""The names by which a `conftest.py` or `-p` may request or block the plugin."""


@pytest.hookimpl(hookwrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Add the plugin after the first `conftest.py` files are loaded, since they may add it."""
    yield
    manager = early_config.pluginmanager
    if any(manager.is_blocked(name) for name in NAMES):
        return
    try:
        _add_plugin(manager)
    except Exception as error:  # whatever went wrong, the tests run
        _warn(early_config, error)


def _add_plugin(manager: pytest.PytestPluginManager) -> None:
    plugin = import_module(NAMES[0])
    if not manager.is_registered(plugin):
        manager.register(plugin, plugin.__name__)
    for name in NAMES:  # a test module that asks for the plugin later then finds it
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
    except Warning:  # if warnings are errors
        print(f"warning: {text}", file=sys.stderr)

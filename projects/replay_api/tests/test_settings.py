"""Settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from replay_api.errors import ReplayError
from replay_api.settings import Settings, load

from tests.each import each


def test_without_variables_there_are_defaults() -> None:
    assert load({"HOME": "/home/x"}) == Settings()


def test_variables_replace_them() -> None:
    said = load(
        {
            "REPLAY_API_STORAGE_ROOT": "/srv/jobs",
            "REPLAY_API_MAX_JOBS": "7",
            "REPLAY_API_IDLE_SECONDS": "0.5",
        }
    )
    assert said == Settings(storage_root=Path("/srv/jobs"), max_jobs=7, idle_seconds=0.5)


@each(
    ("name", "text", "said"),
    [
        ("MAX_JOBS", "many", "REPLAY_API_MAX_JOBS: expected a whole number above 0, got 'many'"),
        ("MAX_JOBS", "1.5", "expected a whole number above 0, got '1.5'"),
        ("MAX_JOBS", "0", "expected a whole number above 0, got '0'"),
        ("IDLE_SECONDS", "nan", "expected a number above 0, got 'nan'"),
        ("IDLE_SECONDS", "inf", "expected a number above 0, got 'inf'"),
        ("IDLE_SECONDS", "-1", "expected a number above 0, got '-1'"),
        ("STORAGE_ROOT", "", "REPLAY_API_STORAGE_ROOT is empty; give the path of a directory"),
        ("MAX_JOB", "1", "REPLAY_API_MAX_JOB is not a setting; expected one of REPLAY_API_STORAGE"),
    ],
)
def test_one_that_cannot_be_used_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ReplayError) as caught:
        load({f"REPLAY_API_{name}": text})
    assert said in str(caught.value)

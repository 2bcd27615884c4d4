from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import impact
import numpy as np
import pytest
from impact.errors import ImpactError
from impact.sources import SCENARIOS, Trial, read_trial

SOURCE = Path(impact.__file__).parents[1]
LOOK = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import impact.sources as s; "


def test_the_trial_is_the_one_that_statsmodels_loads(trial: Trial) -> None:
    from statsmodels.datasets import randhie

    loaded = randhie.load_pandas()
    assert trial.names == tuple(loaded.exog.columns)
    assert np.array_equal(trial.design, loaded.exog.to_numpy())
    assert np.array_equal(trial.response, np.log1p(loaded.endog.to_numpy()))


def test_statsmodels_is_not_imported_for_that() -> None:
    code = LOOK + "s.shipped_trial(); print('statsmodels' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_statsmodels_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    numpy = Path(np.__file__).parents[1]
    (tmp_path / "site").mkdir()
    for path in numpy.glob("numpy*"):
        (tmp_path / "site" / path.name).symlink_to(path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    done = subprocess.run(
        [sys.executable, "-S", "-c", LOOK + "s.shipped_trial()"],  # -S: nothing that is installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert "get some with `python -m pip install statsmodels`" in done.stderr


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_sets_what_it_names_for_everybody_and_leaves_the_rest(
    trial: Trial, name: str
) -> None:
    plan = SCENARIOS[name]
    before = trial.design.copy()
    design = trial.under(plan)
    for column, covariate in enumerate(trial.names):
        wanted = plan.get(covariate, trial.design[:, column])
        assert (design[:, column] == wanted).all()
    assert np.array_equal(trial.design, before)


def test_the_plans_are_ones_that_people_had(trial: Trial) -> None:
    had = trial.design[:, [trial.names.index(name) for name in ("lncoins", "idp", "fmde")]]
    for plan in (SCENARIOS["free_care"], SCENARIOS["cost_sharing"]):
        wanted = [plan[name] for name in ("lncoins", "idp", "fmde")]
        assert np.isclose(had, wanted, atol=1e-5).all(axis=1).sum() > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column mdvis; give a file that has"),
        ("a,b\n1,2\n", "has no column mdvis; give a file that has"),
        ("a,mdvis\n1,two\n", "is not a table of numbers: could not convert string 'two'"),
        ("a,mdvis\n1,2\n3\n", "is not a table of numbers: "),
    ],
)
def test_a_file_that_is_no_trial_is_an_error_that_names_it(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ImpactError, match=f"table.csv {said}"):
        read_trial(tmp_path / "table.csv")

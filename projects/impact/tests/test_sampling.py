from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import impact
import numpy as np
import pytest
from impact.errors import ImpactError
from impact.regression import Floats, Posterior, fit, with_intercept
from impact.sampling import OUTPUTS, sample
from impact.sources import SCENARIOS, Trial

from common.temp import TempManager
from tests.warm import Started, in_environment

if TYPE_CHECKING:
    import xarray as xr

PLANS = ("as_it_was", "free_care")
SOURCE = Path(impact.__file__).parents[1]
BEGIN = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
from impact.regression import fit
from impact.sampling import OUTPUTS, sample
from impact.sources import SCENARIOS, shipped_trial
trial = shipped_trial()
posterior = fit(trial.design, trial.response)
plans = {{name: trial.under(plan) for name, plan in SCENARIOS.items()}}
"""


@pytest.fixture(scope="module")
def posterior(trial: Trial) -> Posterior:
    return fit(trial.design, trial.response)


def some_people(trial: Trial) -> dict[str, Floats]:
    """Forty people under two plans."""
    return {name: trial.under(SCENARIOS[name])[::500] for name in PLANS}


def expected(tree: xr.DataTree, name: str) -> Floats:
    """For each draw, the mean over the people of one group."""
    return np.asarray(tree.children[name].dataset["expected"])


def samples(tree: xr.DataTree, name: str) -> Floats:
    """For each draw and person of one group, the sample."""
    return np.asarray(tree.children[name].dataset["samples"])


# -- where samples are --------------------------------------------------------------------------


def test_the_tree_says_where_everything_is(posterior: Posterior, trial: Trial) -> None:
    import xarray as xr

    tree = sample(posterior, some_people(trial), draws=5)
    assert isinstance(tree, xr.DataTree)
    assert tuple(tree.children) == PLANS
    assert tree.attrs["output_dir"] == str(OUTPUTS.temp_dir)
    runs = [Path(group.attrs["output_dir"]) for group in tree.children.values()]
    assert len(set(runs)) == 2
    assert {str(run.parent) for run in runs} == {tree.attrs["output_dir"]}
    assert all((run / "samples.zarr").is_dir() for run in runs)


def test_later_samples_share_the_temporary_root(posterior: Posterior, trial: Trial) -> None:
    trees = [sample(posterior, some_people(trial), draws=5) for _ in range(2)]
    assert len({tree.attrs["output_dir"] for tree in trees}) == 1
    groups = [group for tree in trees for group in tree.children.values()]
    assert len({group.attrs["output_dir"] for group in groups}) == 4


def test_samples_in_a_named_directory_stay_and_can_be_opened_by_anybody(
    posterior: Posterior, trial: Trial, tmp_path: Path
) -> None:
    import xarray as xr

    tree = sample(posterior, some_people(trial), draws=5, output_dir="named")
    assert tree.attrs["output_dir"] == str(tmp_path / "project" / "named")
    assert OUTPUTS.temp_dir is None
    OUTPUTS.cleanup()
    for group in tree.children.values():
        assert Path(group.attrs["output_dir"]).parent == tmp_path / "project" / "named"
        store = Path(group.attrs["output_dir"]) / "samples.zarr"
        opened = xr.open_zarr(store, chunks=None, consolidated=False)
        assert opened["samples"].dims == ("draw", "person")
        xr.testing.assert_equal(opened, group.to_dataset())


def test_samples_without_a_name_are_gone_after_a_cleanup(
    posterior: Posterior, trial: Trial, system_temp: Path
) -> None:
    tree = sample(posterior, some_people(trial), draws=5)
    OUTPUTS.cleanup()
    assert not Path(tree.attrs["output_dir"]).exists()


@pytest.mark.parametrize("output_dir", [None, "named"])
def test_a_killed_process_leaves_nothing_that_looks_whole_and_the_next_clean_takes_the_rest(
    tmp_path: Path, system_temp: Path, output_dir: str | None
) -> None:
    code = f"{BEGIN}sample(posterior, plans, draws=10**6, output_dir={output_dir!r})"
    env = dict(os.environ)
    server = in_environment(sys.executable, env, "impact")
    started = Started([sys.executable, "-c", code], env=env, server=server)
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.rglob("samples.zarr.partial/samples/c/1")):
            assert started.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        TempManager.clean_persistent_temps()
        partial = list(tmp_path.rglob("samples.zarr.partial"))
        assert len(partial) == 1
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()
    TempManager.clean_persistent_temps()
    assert list(tmp_path.rglob("samples.zarr")) == []
    assert list(system_temp.rglob("*.partial")) == []
    assert partial[0].exists() == (output_dir is not None)


@pytest.mark.parametrize("memory", [1, 10_000])
def test_too_little_memory_is_refused_and_nothing_is_made(
    posterior: Posterior, trial: Trial, system_temp: Path, memory: int
) -> None:
    with pytest.raises(ImpactError, match="bytes of memory are too few for 20190 people; allow"):
        sample(posterior, {"as_it_was": trial.design}, memory=memory)
    assert os.listdir(system_temp) == []


def test_no_scenario_is_refused(posterior: Posterior) -> None:
    with pytest.raises(ImpactError, match="there is nothing to sample"):
        sample(posterior, {})


# -- what they are ------------------------------------------------------------------------------


def test_samples_have_the_classical_prediction_intervals(
    posterior: Posterior, trial: Trial
) -> None:
    from statsmodels.regression.linear_model import OLS

    people = some_people(trial)
    tree = sample(posterior, people, draws=8000)
    fitted = OLS(trial.response, with_intercept(trial.design)).fit()
    for name, design in people.items():
        classical = fitted.get_prediction(with_intercept(design)).conf_int(obs=True)
        seen = np.quantile(samples(tree, name), (0.025, 0.975), axis=0)
        spread = np.sqrt(posterior.scale)
        assert np.abs(seen.T - classical).max() < 0.15 * spread
        assert np.abs((seen.T - classical).mean()) < 0.02 * spread


def test_the_expected_difference_has_its_exact_posterior(
    posterior: Posterior, trial: Trial
) -> None:
    people = some_people(trial)
    tree = sample(posterior, people, draws=8000)
    seen = expected(tree, "free_care") - expected(tree, "as_it_was")
    change = np.append(0, (people["free_care"] - people["as_it_was"]).mean(axis=0))
    deviation = np.sqrt(change @ posterior.covariance @ change)
    assert seen.mean() == pytest.approx(change @ posterior.mean, abs=5 * deviation / np.sqrt(8000))
    assert seen.std() == pytest.approx(deviation, rel=0.05)


def test_free_care_brings_more_visits_and_sharing_the_cost_fewer(
    posterior: Posterior, trial: Trial
) -> None:
    people = {name: trial.under(plan)[::100] for name, plan in SCENARIOS.items()}
    tree = sample(posterior, people, draws=500)
    base = expected(tree, "as_it_was")
    assert (expected(tree, "free_care") > base).all()
    assert (expected(tree, "cost_sharing") < base).all()


def test_the_same_plan_twice_differs_by_its_noise_alone(posterior: Posterior, trial: Trial) -> None:
    design = trial.design[::500]
    tree = sample(posterior, {"one": design, "other": design}, draws=20)
    assert np.array_equal(expected(tree, "one"), expected(tree, "other"))
    assert not (samples(tree, "one") == samples(tree, "other")).any()


@pytest.mark.parametrize("memory", [10_000, 30_000, 1 << 20])
def test_samples_do_not_depend_on_the_memory(
    posterior: Posterior, trial: Trial, memory: int
) -> None:
    import xarray as xr

    people = some_people(trial)
    tree = sample(posterior, people, draws=100, memory=memory)
    other = sample(posterior, people, draws=100)
    for name in PLANS:
        xr.testing.assert_allclose(tree[name].to_dataset(), other[name].to_dataset(), rtol=1e-5)


def test_another_seed_gives_other_samples(posterior: Posterior, trial: Trial) -> None:
    trees = [sample(posterior, some_people(trial), draws=5, seed=seed) for seed in (1, 2)]
    one, other = (samples(tree, "as_it_was") for tree in trees)
    assert not (one == other).any()


# -- memory -------------------------------------------------------------------------------------

MEASURE = """
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))

MEMORY = 16 << 20
sample(posterior, plans, draws=2, memory=MEMORY)  # what is needed once for all
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the highest
before = status("VmRSS")
tree = sample(posterior, plans, draws=600, memory=MEMORY)
size = sum(group.dataset["samples"].nbytes for group in tree.children.values())
print(status("VmHWM") - before, MEMORY, size)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux knows the peak")
def test_memory_stays_within_the_bound_whatever_the_samples_take_together() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + MEASURE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    taken, bound, size = map(int, done.stdout.split())
    assert size > 8 * bound
    assert 0 < taken <= bound

"""The source of the data: the RAND Health Insurance Experiment, as shipped by statsmodels.

From 1974 to 1982, families were randomly assigned insurance plans, from free care to paying 95 % of
each bill. The data are in the public domain.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Final

import numpy as np

from .errors import ImpactError
from .regression import Floats

RESPONSE: Final = "mdvis"
"""Visits to a doctor per year; the regression uses log(1 + visits)."""

SCENARIOS: Final[dict[str, dict[str, float]]] = {
    "as_it_was": {},
    "free_care": {"lncoins": 0.0, "idp": 0.0, "fmde": 0.0},
    "cost_sharing": {"lncoins": log(96), "idp": 0.0, "fmde": log(1000 / 0.95)},
}
"""The plan of all persons in each scenario; other covariates stay as they were. Cost sharing is
95 % of each bill, up to 1000 dollars a year."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The covariates, a row for each person and year; their names; and log(1 + visits)."""

    names: tuple[str, ...]
    design: Floats
    response: Floats

    def under(self, scenario: dict[str, float]) -> Floats:
        """The covariates as if all persons had the plan of `scenario`."""
        design = self.design.copy()
        for name, value in scenario.items():
            design[:, self.names.index(name)] = value
        return design


def shipped_trial() -> Trial:
    """The trial inside the installed statsmodels.

    The package is located without importing it, which would take two seconds. Raises `ImpactError`
    if it is not installed.
    """
    spec = find_spec("statsmodels")
    for location in (spec and spec.submodule_search_locations) or ():
        path = Path(location) / "datasets" / "randhie" / "randhie.csv"
        if path.is_file():
            return read_trial(path)
    raise ImpactError("no data to use: get some with `python -m pip install statsmodels`")


def read_trial(path: Path) -> Trial:
    """The trial in a CSV file with a column `mdvis`; all others are covariates.

    Raises `ImpactError` if it is not such a file, `OSError` if it cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file), [])
        if RESPONSE not in names:
            raise ImpactError(f"{path} has no column {RESPONSE}; give a file that has")
        try:
            table = np.loadtxt(file, delimiter=",", ndmin=2)
        except ValueError as error:
            raise ImpactError(f"{path} is not a table of numbers: {error}") from error
    response = names.index(RESPONSE)
    return Trial(
        names=tuple(name for name in names if name != RESPONSE),
        design=np.delete(table, response, axis=1),
        response=np.log1p(table[:, response]),
    )

"""Samples from the predictions of the regression, streamed to Zarr in chunks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from common.temp import OutputRoot

from .errors import ImpactError
from .regression import Floats, Posterior, draw, with_intercept

if TYPE_CHECKING:
    import xarray as xr

OUTPUTS: Final = OutputRoot()
"""The root for samples without a named directory. It lasts until the process ends, or `cleanup()`.
"""

_BYTES_PER_SAMPLE = 20  # 14 as measured: the sample, the copy of Zarr, and a reserve


def sample(
    posterior: Posterior,
    scenarios: Mapping[str, Floats],
    *,
    draws: int = 1000,
    seed: int = 0,
    memory: int = 32 << 20,
    output_dir: str | os.PathLike[str] | None = None,
) -> xr.DataTree:
    """Samples from the posterior predictive distribution, with a group for each of `scenarios`.

    A scenario is a design: a row of covariates for each person. Its group holds `samples`, one for
    each draw and person, and `expected`, the mean over all persons without noise for each draw. All
    scenarios use the same draws of the coefficients, so that they differ only by the plan.

    Samples are read from the disk when they are used. `attrs["output_dir"]` of the tree is the
    directory of all samples: `output_dir`, or a temporary root that lasts as long as the process.
    That of a group is its run directory, with the store `samples.zarr`. Samples take at most
    `memory` bytes of memory, whatever `draws` is. Raises `ImpactError`, or `TempError` or `OSError`
    from the disk.
    """
    if not scenarios:
        raise ImpactError("there is nothing to sample; name a scenario")
    import xarray as xr  # takes a second

    groups: dict[str, xr.Dataset] = {}
    for number, (name, design) in enumerate(scenarios.items()):
        rows = _rows_at_once(design, draws, memory)
        run = OUTPUTS.run_dir(output_dir)
        # It has another name until it is complete, so that a killed process leaves nothing
        # misleading.
        partial, whole = run / "samples.zarr.partial", run / "samples.zarr"
        _stream(partial, posterior, design, draws, rows, (seed, number))
        partial.rename(whole)
        groups[name] = xr.open_zarr(whole, chunks=None, consolidated=False)
        groups[name].attrs["output_dir"] = str(run)
    root = os.path.abspath(output_dir) if output_dir is not None else OUTPUTS.temp_dir
    top = xr.Dataset(attrs={"output_dir": str(root), "draws": draws, "seed": seed})
    return xr.DataTree.from_dict({"/": top, **groups})


def _rows_at_once(design: Floats, draws: int, memory: int) -> int:
    """The number of draws that fit into memory, beside the design with its intercept."""
    one = len(design) * _BYTES_PER_SAMPLE
    fixed = 2 * (design.nbytes + len(design) * design.itemsize)
    if memory < fixed + one:
        raise ImpactError(
            f"{memory} bytes of memory are too few for {len(design)} people; "
            f"allow {fixed + one} or more"
        )
    return min((memory - fixed) // one, draws)


def _stream(
    store: Path,
    posterior: Posterior,
    design: Floats,
    draws: int,
    rows: int,
    seeds: tuple[int, int],
) -> None:
    import zarr

    people = len(design)
    group = zarr.open_group(store, mode="w-", zarr_format=3)
    samples = group.create_array(
        "samples",
        shape=(draws, people),
        chunks=(rows, people),
        dtype="float32",
        compressors=None,  # noise does not get smaller
        dimension_names=("draw", "person"),
    )
    expected = group.create_array(
        "expected", shape=(draws,), dtype="float64", dimension_names=("draw",)
    )
    columns = with_intercept(design).T
    middle = columns.mean(axis=1)
    noise = np.random.default_rng(seeds)
    start = 0
    for some in draw(posterior, seeds[0], draws, rows):
        end = start + len(some.deviations)
        block = noise.standard_normal((end - start, people), dtype=np.float32)
        block *= some.deviations.astype(np.float32)[:, np.newaxis]
        for row, coefficients in zip(block, some.coefficients, strict=True):
            row += coefficients @ columns
        samples[start:end] = block
        expected[start:end] = some.coefficients @ middle
        start = end

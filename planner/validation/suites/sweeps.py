"""Suite ``sweeps``: published nccl-tests runs of real clusters, uncalibrated, calibrated on half, and as ratios.

``measured/sweeps.yaml`` holds the set-up of each case, ``measured/sweeps.csv`` its rows (a size a row). All rows of all
collectives are predicted; the targets take all-reduces of quality A from 16 MiB on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from planner.collectives.calibration import Measured, fit_efficiency, prepare
from planner.collectives.definitions import Collective, busbw_factor, check_collective
from planner.collectives.efficiency import Efficiency
from planner.collectives.nccl.constants import ALGORITHM_NAMES, PROTOCOL_NAMES
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from planner.validation.suites.measured_systems import (
    Setup,
    efficiency_of,
    fabric_of,
    forced_algorithm,
    read_setups,
)
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.units import from_gb_per_s, from_us, to_us

__all__ = ["SUITE"]

_ROWS, _SETUPS = "measured/sweeps.csv", "measured/sweeps.yaml"
_LARGE_BYTES = 16 * 2**20
# A fit takes rows from here on: bandwidth and pipelines, and the knee below what is judged.
_TRAIN_FROM_BYTES = 4 * 2**20
_LEAST_ROWS_TO_CALIBRATE = 6

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Run:
    """One case with its rows, its fabric, and what the model says uncalibrated."""

    setup: Setup
    collective: Collective
    fabric: Fabric
    measured: Measured
    size_bytes: _Floats
    time_s: _Floats
    efficiency: Efficiency
    predicted_s: _Floats
    choices: tuple[str, ...]

    @property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Which rows the targets take."""
        judged = self.setup.is_quality_a and self.collective == "all-reduce"
        return (self.size_bytes >= _LARGE_BYTES) & judged

    @property
    def cluster(self) -> tuple[object, ...]:
        """What is the same for cases of one cluster: who published, the accelerators and the network."""
        s = self.setup
        return (_source(s), s.accelerator, s.network, s.nic_gbps, s.nics_a_host / s.accelerators_a_host)


def _source(setup: Setup) -> str:
    """Return who published: the repository (in an issue, the person), or the title of a document."""
    text = setup.source
    if "://" not in text:
        return text.split('"')[0].split("(")[0].strip() + (text.split('"')[1] if text.count('"') > 1 else "")
    parts = text.split("://", 1)[1].split("/")
    repository = "/".join(parts[:3]).split("@")[0].split(" ")[0].split("#")[0]
    person = text.split("(", 1)[1].split(",")[0].split(")")[0] if "/issues/" in text and "(" in text else ""
    return f"{repository} {person}".strip()


def _row_time_s(row: Row, size: float, factor: float) -> float | None:
    """Return the measured time of a row: as printed, or from its algbw or busbw; out of place before in place."""
    for place in ("oop", "ip"):
        time_us = row.optional(f"{place}_time_us", minimum=0)
        if time_us:
            return from_us(time_us)
        algbw = row.optional(f"{place}_algbw_gbs", minimum=0)
        busbw = row.optional(f"{place}_busbw_gbs", minimum=0)
        # Printed with two decimals: too coarse below 1 GB/s.
        if busbw and busbw >= 1:
            return size * factor / from_gb_per_s(busbw)
        if algbw and algbw >= 1:
            return size / from_gb_per_s(algbw)
    return None


def _read_runs(data: DataDir) -> tuple[list[_Run], list[Case]]:
    setups = read_setups(data, _SETUPS)
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in data.rows(_ROWS, columns=("case_id", "collective", "size_bytes")):
        rows.setdefault((row.text("case_id"), row.text("collective")), []).append(row)
    runs, left_out = [], []
    for key, members in rows.items():
        if key not in setups:
            raise InputError(what="no set-up of this case", where=members[0].where, found=" ".join(key))
        setup = setups[key]
        run = _run(setup, members) if setup is not None else "the source does not say how many accelerators ran"
        if isinstance(run, str):
            name = " ".join(key)
            left_out.append(Case(name, "uncalibrated", counts=False, why_not=run))
        else:
            runs.append(run)
    return runs, left_out


def _run(setup: Setup, rows: Sequence[Row]) -> _Run | str:
    op = check_collective(setup.collective, where=rows[0].where)
    factor = float(busbw_factor(op, setup.num_ranks))
    sizes, times = [], []
    for row in rows:
        size = row.optional("size_bytes", minimum=1)
        time = _row_time_s(row, size, factor) if size is not None else None
        if size is not None and time:
            sizes.append(size)
            times.append(time)
    if not sizes:
        return "the source gives no size or no time"
    fabric = fabric_of(setup)
    algorithm, sharp = forced_algorithm(setup)
    measured = Measured(
        np.arange(setup.num_ranks), op, sizes, times, algorithm, sharp and setup.num_hosts > 1, setup.case_id
    )
    efficiency = efficiency_of(setup, fabric)
    (prepared,) = prepare(fabric, [measured])
    picks = prepared.picks
    choices = (
        tuple(
            f"{ALGORITHM_NAMES[a]}/{PROTOCOL_NAMES[p]}"
            for a, p in zip(picks.algorithm[0], picks.protocol[0], strict=True)
        )
        if picks is not None
        else ("direct",) * len(sizes)
    )
    return _Run(
        setup,
        op,
        fabric,
        measured,
        np.array(sizes),
        np.array(times),
        efficiency,
        prepared.times_s(efficiency),
        choices,
    )


def _why_not(run: _Run, size: float) -> str:
    if run.collective != "all-reduce":
        return "no all-reduce"
    if not run.setup.is_quality_a:
        return f"quality {run.setup.quality[:1]}"
    return "below 16 MiB" if size < _LARGE_BYTES else ""


def _uncalibrated(runs: Sequence[_Run]) -> Iterator[Case]:
    for run in runs:
        for i, size in enumerate(run.size_bytes):
            why_not = _why_not(run, size)
            yield Case.of_figures(
                f"{run.setup.case_id} {run.setup.collective} {int(size)} B",
                "uncalibrated",
                to_us(float(run.time_s[i])),
                to_us(float(run.predicted_s[i])),
                "us",
                counts=not why_not,
                why_not=why_not,
                detail={"chosen": run.choices[i], "ranks": run.setup.num_ranks, "units": run.setup.num_hosts},
            )


def _calibrated(runs: Sequence[_Run]) -> Iterator[Case]:
    """Fit on every other row of a cluster, predict the ones between; then the other way round."""
    clusters: dict[tuple[object, ...], list[_Run]] = {}
    for run in runs:
        if run.counts.any():
            clusters.setdefault(run.cluster, []).append(run)
    for members in clusters.values():
        if sum(int(run.counts.sum()) for run in members) < _LEAST_ROWS_TO_CALIBRATE:
            continue
        place = np.cumsum([0, *(len(run.size_bytes) for run in members)])
        for half in (0, 1):
            trained, tested = [], []
            for run, first in zip(members, place, strict=False):
                rows = np.arange(len(run.size_bytes))
                other = (rows + first) % 2 != half
                trained.append(rows[~other & (run.size_bytes >= _TRAIN_FROM_BYTES)])
                tested.append(rows[other & run.counts])
            yield from _one_half(members, trained, tested)


def _one_half(
    members: list[_Run], trained: list[npt.NDArray[np.intp]], tested: list[npt.NDArray[np.intp]]
) -> Iterator[Case]:
    def part(run: _Run, rows: npt.NDArray[np.intp]) -> Measured:
        m = run.measured
        return Measured(m.group, m.collective, run.size_bytes[rows].tolist(), run.time_s[rows].tolist(), m.algorithm,
                        m.collnet, m.name)  # fmt: skip

    prepared = [
        prepare(run.fabric, [part(run, rows)])[0] for run, rows in zip(members, trained, strict=True) if len(rows)
    ]
    start = members[0].efficiency
    try:
        fit = fit_efficiency(members[0].fabric, [], start=start, source=str(members[0].cluster), prepared=prepared)
        efficiency, refused = fit.efficiency, ""
    except InputError as error:
        efficiency, refused = start, str(error)
    for run, rows in zip(members, tested, strict=True):
        if not len(rows):
            continue
        times = prepare(run.fabric, [part(run, rows)])[0].times_s(efficiency)
        for row, time in zip(rows, times, strict=True):
            yield Case.of_figures(
                f"{run.setup.case_id} {int(run.size_bytes[row])} B",
                "calibrated",
                to_us(float(run.time_s[row])),
                to_us(float(time)),
                "us",
                counts=not refused,
                why_not=refused,
                detail={"quality": run.setup.quality},
            )


def _shapes(runs: Sequence[_Run]) -> Iterator[Case]:
    """Ratios of times between two cases of one source that differ in node count or fabric, at the same size."""
    sources: dict[tuple[object, ...], list[_Run]] = {}
    for run in runs:
        if run.collective == "all-reduce" and not run.setup.quality.startswith("C"):
            sources.setdefault(
                (_source(run.setup), run.setup.accelerator, run.measured.algorithm, run.measured.collnet), []
            ).append(run)
    for members in sources.values():
        for first, second in combinations(members, 2):
            if _same_system(first.setup, second.setup):
                continue
            common = sorted(set(first.size_bytes.tolist()) & set(second.size_bytes.tolist()))
            for size in common:
                if size < _LARGE_BYTES:
                    continue
                i = int(np.flatnonzero(first.size_bytes == size)[0])
                j = int(np.flatnonzero(second.size_bytes == size)[0])
                yield Case.of_figures(
                    f"{first.setup.case_id} ÷ {second.setup.case_id} {int(size)} B",
                    "shape",
                    float(first.time_s[i] / second.time_s[j]),
                    float(first.predicted_s[i] / second.predicted_s[j]),
                    "ratio",
                )


def _same_system(a: Setup, b: Setup) -> bool:
    return (a.num_ranks, a.num_hosts, a.nics_a_host, a.nic_gbps) == (
        b.num_ranks,
        b.num_hosts,
        b.nics_a_host,
        b.nic_gbps,
    )


class SweepsSuite:
    """Published nccl-tests runs."""

    name = "sweeps"
    title = "published nccl-tests runs of real clusters: uncalibrated, calibrated on half, and as ratios"
    files = (_ROWS, _SETUPS)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Predict every row."""
        runs, left_out = _read_runs(data)
        cases = [*_uncalibrated(runs), *_calibrated(runs), *_shapes(runs), *left_out]

        def error(kind: str, q: float) -> float | None:
            return quantile(
                [c.error_frac for c in cases if c.kind == kind and c.counts and c.error_frac is not None], q
            )

        targets = [
            Target("uncalibrated median_error_frac", error("uncalibrated", 0.5), 0.12),
            Target("uncalibrated p90_error_frac", error("uncalibrated", 0.9), 0.30),
            Target("calibrated median_error_frac", error("calibrated", 0.5), 0.04),
            Target("calibrated p90_error_frac", error("calibrated", 0.9), 0.12),
            Target("shape median_error_frac", error("shape", 0.5), 0.06),
        ]
        # Where the source itself tells of a machine shared with others, a part of the rows is chance.
        quiet = [
            case.error_frac
            for case in cases
            if case.kind == "calibrated" and case.counts and "shared" not in case.detail["quality"]
            if case.error_frac is not None
        ]
        metrics = {"calibrated p90_error_frac of machines not shared": quantile(quiet, 0.9)}
        refused = sorted({case.why_not for case in cases if case.kind == "calibrated" and case.why_not})
        notes = [f"calibration refused: {why}" for why in refused]
        notes += [f"{name}: {value:.1%}" for name, value in metrics.items() if value is not None]
        return SuiteOutcome(cases, targets, notes, metrics, summary_kinds=frozenset({"uncalibrated"}))


SUITE = SweepsSuite()

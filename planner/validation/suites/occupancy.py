"""Suite ``occupancy``: measured occupancy of a real cluster, against the utilization its operators published.

``traces/helios_earth_may2020_occupancy.csv`` (HeliosArtifact, SC 2021): for each virtual cluster the minutes at which
its total, running or pending accelerators change; a value holds until the next one.
``traces/helios_published_utilization.csv``: the published utilization by month. The published figure is of the whole
cluster, so it is compared with the file only if the file's virtual clusters hold all its accelerators, by
``traces/helios_earth_vc_gpus_daily.csv``; otherwise the case says what part is there, and whether what is not there
could make up the difference at all.

Minutes in which jobs wait although as many accelerators as a waiting job asks for on average are idle are what another
policy could recover; they are printed by virtual cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target

__all__ = ["SUITE"]

_OCCUPANCY = "traces/helios_earth_may2020_occupancy.csv"
_PUBLISHED = "traces/helios_published_utilization.csv"
_DAILY = "traces/helios_earth_vc_gpus_daily.csv"
_CLUSTER, _MONTH, _MONTH_S = "Earth", "2020-05", 31 * 86_400.0
_WHOLE_FRAC = 0.99
_TARGET_POINTS = 0.5

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Held:
    """Step functions of one virtual cluster: from when, for how long, and what holds then."""

    name: str
    at_s: _Floats
    lasts_s: _Floats
    total: _Floats
    running: _Floats
    pending: _Floats
    pending_jobs: _Floats

    @classmethod
    def of(cls, name: str, rows: Sequence[Row]) -> _Held:
        rows = sorted(rows, key=lambda row: row.number("t_s"))
        at = np.array([row.number("t_s", minimum=0) for row in rows] + [_MONTH_S])

        def column(key: str) -> _Floats:
            return np.array([row.number(key, minimum=0) for row in rows])

        keys = ("total_gpus", "running_gpus", "pending_gpus", "pending_jobs")
        lasts = np.maximum(np.diff(np.minimum(at, _MONTH_S)), 0.0)
        return cls(name, at[:-1], lasts, *(column(key) for key in keys))

    def hours(self, values: _Floats) -> float:
        """Add up over the month."""
        return float((values * self.lasts_s).sum()) / 3600

    @property
    def could_run(self) -> npt.NDArray[np.bool_]:
        """When jobs wait although what one of them asks for on average is idle."""
        asked = self.pending / np.maximum(self.pending_jobs, 1)
        found: npt.NDArray[np.bool_] = (self.pending_jobs > 0) & (self.total - self.running >= asked)
        return found


def _published_pct(data: DataDir) -> float | None:
    for row in data.rows(_PUBLISHED, columns=("cluster", "metric", "x", "value")):
        if (row.text("cluster"), row.text("metric"), row.text("x")) == (_CLUSTER, "util_pct_by_month", _MONTH):
            return row.number("value", minimum=0)
    return None


def _cluster_gpu_hours(data: DataDir) -> float:
    """Return what the whole cluster held in the month."""
    rows = data.rows(_DAILY, columns=("date", "total"))
    return sum(24 * row.number("total", minimum=0) for row in rows if row.text("date").startswith(_MONTH))


def _whole(published: float, used_h: float, held_h: float, cluster_h: float) -> list[Case]:
    ours = 100 * used_h / held_h if held_h else 0.0
    covers = held_h / cluster_h if cluster_h else 0.0
    is_whole = covers >= _WHOLE_FRAC
    cases = [
        Case(
            f"{_CLUSTER} {_MONTH} utilization",
            "utilization",
            published,
            ours,
            "%",
            error_frac=abs(ours - published) / 100,
            counts=is_whole,
            why_not="" if is_whole else f"the file holds {covers:.1%} of the cluster's accelerators",
            detail={"covers_frac": covers},
        )
    ]
    if not is_whole and cluster_h > held_h:
        rest = (published / 100 * cluster_h - used_h) / (cluster_h - held_h)
        cases.append(
            Case(
                f"{_CLUSTER} {_MONTH} utilization that the missing virtual clusters must have had",
                "consistency",
                predicted=100 * rest,
                unit="%",
                agrees=0 <= rest <= 1,
            )
        )
    return cases


def _recoverable(held: _Held) -> Case:
    could = held.could_run
    idle = np.minimum(held.total - held.running, held.pending)
    return Case(
        f"{held.name} minutes with jobs waiting though enough was idle",
        "recoverable",
        predicted=60 * held.hours(could.astype(np.float64)),
        unit="min",
        counts=False,
        why_not="no published figure",
        detail={
            "waiting_min": 60 * held.hours((held.pending_jobs > 0).astype(np.float64)),
            "gpu_hours": held.hours(np.where(could, idle, 0.0)),
            "utilization_frac": held.hours(held.running) / (held.hours(held.total) or 1.0),
        },
    )


def _lent(held: Sequence[_Held]) -> Case:
    """Return what virtual clusters could lend each other: jobs that wait in one while enough is idle in all."""
    at = np.unique(np.concatenate([h.at_s for h in held]))
    lasts = np.diff(np.append(at, _MONTH_S))
    sums = np.zeros((4, at.size))
    for h in held:
        place = np.searchsorted(h.at_s, at, side="right") - 1
        for row, values in enumerate((h.total, h.running, h.pending, h.pending_jobs)):
            sums[row] += np.where(place >= 0, values[np.maximum(place, 0)], 0.0)
    total, running, pending, jobs = sums
    could = (jobs > 0) & (total - running >= pending / np.maximum(jobs, 1))
    gained_h = float((np.where(could, np.minimum(total - running, pending), 0.0) * lasts).sum()) / 3600
    return Case(
        f"{_CLUSTER} minutes with jobs waiting though enough was idle in all virtual clusters together",
        "lendable",
        predicted=float((could * lasts).sum()) / 60,
        unit="min",
        counts=False,
        why_not="no published figure",
        detail={"gpu_hours": gained_h},
    )


@dataclass(frozen=True, slots=True)
class OccupancySuite:
    """Utilization from occupancy."""

    name: str = "occupancy"
    title: str = "measured occupancy of Helios Earth against its published utilization"
    files: tuple[str, ...] = (_OCCUPANCY, _PUBLISHED, _DAILY)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Add up the step functions."""
        by_name: dict[str, list[Row]] = {}
        for row in data.rows(_OCCUPANCY, columns=("vc", "t_s", "total_gpus", "running_gpus", "pending_gpus")):
            by_name.setdefault(row.text("vc"), []).append(row)
        held = [_Held.of(name, rows) for name, rows in sorted(by_name.items())]
        published = _published_pct(data)
        used_h, held_h = sum(h.hours(h.running) for h in held), sum(h.hours(h.total) for h in held)
        cases = _whole(published, used_h, held_h, _cluster_gpu_hours(data)) if published is not None else []
        judged = [100 * case.error_frac for case in cases if case.counts and case.error_frac is not None]
        consistent = [float(case.agrees) for case in cases if case.agrees is not None]
        cases += [_recoverable(h) for h in held]
        lent = _lent(held)
        cases.append(lent)
        gpu_hours = sum(float(case.detail["gpu_hours"]) for case in cases if case.kind == "recoverable")
        targets = [
            Target("utilization, points from published", max(judged, default=None), _TARGET_POINTS),
            Target("published figure possible", min(consistent, default=None), 1.0, ">="),
        ]
        lent_h = float(lent.detail["gpu_hours"])
        notes = [
            f"a policy that starts whoever fits in his virtual cluster gains {gpu_hours:,.0f} GPU-hours, "
            f"{gpu_hours / (held_h or 1):.2%}",
            f"one that lends across virtual clusters gains {lent_h:,.0f} GPU-hours, {lent_h / (held_h or 1):.2%}",
        ]
        return SuiteOutcome(cases, targets, notes, summary_kinds=frozenset({"utilization"}))


SUITE = OccupancySuite()

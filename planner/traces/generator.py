"""Draws job mixes from published distributions, at any size and load, and says how well they fit.

Sizes and durations follow their published distributions by stratified draws. Which job gets which duration is chosen so
that accelerator time by size follows its published distribution too, as far as the two others allow: jobs get durations
in the order of a random score whose mean by size is fitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from planner.traces.trace import Trace, TraceJob
from topologies.errors import InputError

__all__ = ["Curve", "Fit", "Marginals", "draw_trace", "fit_of", "marginals_from", "published_marginals"]

Float64s = npt.NDArray[np.float64]

_METRICS = {
    "cdf_jobs_by_gpus": "gpus",
    "cdf_jobs_by_duration_s": "duration_s",
    "cdf_gpu_time_by_gpus": "gpu_time",
}
_ALL_JOBS = ("all", "all_gpu_jobs")
_ROUNDS, _STEP = 200, 0.15


@dataclass(frozen=True, eq=False)
class Curve:
    """A distribution function at some points: a share `cdf` of all is at or below `x`."""

    x: Float64s
    cdf: Float64s

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]], where: str) -> Curve:
        """Return the curve through points, x and share.

        Raises
        ------
        InputError
            If the shares fall or leave 0 to 1.
        """
        ordered = sorted(points)
        x, cdf = np.array([p[0] for p in ordered]), np.array([p[1] for p in ordered])
        if x.size < 2 or np.any(np.diff(x) <= 0) or np.any(np.diff(cdf) < 0) or cdf[0] < 0 or cdf[-1] > 1 + 1e-9:
            raise InputError(what="not a distribution function", where=where, allowed="shares that rise from 0 to 1")
        return cls(x, cdf)

    def steps(self) -> Float64s:
        """Return the share of each point itself, `(n,)`, adding up to 1; what lies above the last is given to it."""
        share = np.diff(self.cdf, prepend=0.0)
        share[-1] += 1 - self.cdf[-1]
        return share

    def inverse(self, u: Float64s) -> Float64s:
        """Return where the distribution reaches `u`, log-linear between points; nothing lies outside of them."""
        at: Float64s = np.exp(np.interp(u, self.cdf, np.log(self.x)))
        return at

    def distance(self, values: Float64s, weight: Float64s | None = None) -> float:
        """Return Kolmogorov and Smirnov's distance of a sample: the largest difference of shares at the points."""
        order = np.argsort(values, kind="stable")
        total = np.cumsum((np.ones(values.size) if weight is None else weight)[order])
        below = np.searchsorted(values[order], self.x * (1 + 1e-12), side="right")
        seen = np.where(below > 0, total[np.maximum(below - 1, 0)], 0.0) / total[-1]
        return float(np.abs(seen - self.cdf).max())


@dataclass(frozen=True)
class Marginals:
    """What is published of one cluster's jobs.

    Attributes
    ----------
    name
        The cluster.
    gpus, duration_s
        Jobs by accelerators and by duration.
    gpu_time
        Accelerator time by accelerators of the job; None if it is not published.
    """

    name: str
    gpus: Curve
    duration_s: Curve
    gpu_time: Curve | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Distances of a trace from what it was drawn from, 0 to 1."""

    gpus: float
    duration_s: float
    gpu_time: float | None


def marginals_from(rows: Iterable[Mapping[str, str]], where: str) -> dict[str, Marginals]:
    """Return the clusters of a table with the columns cluster, job_type, metric, x, cdf_pct.

    Raises
    ------
    InputError
        If a cell is no number, or points make no distribution.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number, row in enumerate(rows, 1):
        kind = _METRICS.get(row.get("metric", ""))
        if kind is None or row.get("job_type") not in _ALL_JOBS:
            continue
        try:
            point = float(row["x"]), float(row["cdf_pct"]) / 100
        except (KeyError, ValueError) as error:
            raise InputError(what="bad point", where=f"{where}: row {number}", found=error) from error
        points.setdefault((row.get("cluster", ""), kind), []).append(point)
    curves = {key: Curve.of(found, f"{where}: {' '.join(key)}") for key, found in points.items()}
    return {
        name: Marginals(name, curve, curves[name, "duration_s"], curves.get((name, "gpu_time")))
        for (name, kind), curve in curves.items()
        if kind == "gpus" and (name, "duration_s") in curves
    }


def published_marginals() -> dict[str, Marginals]:
    """Return the published clusters: Kalos (Acme), Philly, Helios and PAI, as Hu et al. (NSDI 2024) plot them."""
    import csv

    text = files("planner.traces").joinpath("marginals.csv").read_text(encoding="utf-8")
    return marginals_from(csv.DictReader(text.splitlines()[1:]), "marginals.csv")


def draw_trace(
    marginals: Marginals, num_jobs: int, *, accelerators: int, load_frac: float, seed: int, tenants: int = 1
) -> Trace:
    """Draw jobs that ask for a part of a cluster's time; they arrive at random (a Poisson process).

    Parameters
    ----------
    accelerators
        Of the cluster; jobs larger than it are made as large as it is.
    load_frac
        Accelerator time asked for over accelerators × time of arrivals.
    tenants
        Jobs are spread over so many, at random.

    Raises
    ------
    InputError
        If a number is not above 0.
    """
    for name, value in (("jobs", num_jobs), ("accelerators", accelerators), ("load", load_frac), ("tenants", tenants)):
        if not 0 < value < float("inf"):
            raise InputError(what=f"{name} must be above 0", where="generator", found=value)
    rng = np.random.default_rng(seed)
    size_idx = np.searchsorted(np.cumsum(marginals.gpus.steps())[:-1], _stratified(rng, num_jobs), side="right")
    gpus = np.rint(marginals.gpus.x[size_idx]).astype(np.int64)
    duration = np.sort(marginals.duration_s.inverse(_stratified(rng, num_jobs)))
    duration_s = _matched(marginals, size_idx, duration, rng)
    gpus = np.minimum(gpus, accelerators)
    span_s = float((gpus * duration_s).sum()) / (accelerators * load_frac)
    submit_s = np.sort(rng.uniform(0.0, span_s, num_jobs))
    tenant = rng.integers(tenants, size=num_jobs)
    rows = zip(submit_s.tolist(), duration_s.tolist(), gpus.tolist(), tenant.tolist(), strict=True)
    jobs = (TraceJob(f"g{i}", s, d, g, tenant=f"tenant{t}") for i, (s, d, g, t) in enumerate(rows))
    return Trace.of(jobs, source=f"drawn from {marginals.name}, seed {seed}")


def fit_of(trace: Trace, marginals: Marginals) -> Fit:
    """Return how far a trace is from published distributions."""
    gpus = np.array([job.gpus for job in trace.jobs], np.float64)
    duration = np.array([job.duration_s for job in trace.jobs])
    time = None if marginals.gpu_time is None else marginals.gpu_time.distance(gpus, gpus * duration)
    return Fit(marginals.gpus.distance(gpus), marginals.duration_s.distance(duration), time)


def _stratified(rng: np.random.Generator, count: int) -> Float64s:
    """Return one uniform draw from each of `count` equal parts of 0 to 1, in random order."""
    draws: Float64s = (rng.permutation(count) + rng.uniform(size=count)) / count
    return draws


def _matched(
    marginals: Marginals, size_idx: npt.NDArray[np.intp], ordered_s: Float64s, rng: np.random.Generator
) -> Float64s:
    """Hand out durations, given in rising order, so that accelerator time by size follows what is published."""
    score = rng.normal(size=size_idx.size)
    place = np.zeros(marginals.gpus.x.size)
    best, least = ordered_s[np.argsort(np.argsort(score))], np.inf
    if marginals.gpu_time is None:
        return best
    weight = marginals.gpus.x[size_idx]
    wanted = np.diff(np.interp(marginals.gpus.x, marginals.gpu_time.x, marginals.gpu_time.cdf), prepend=0.0)
    for _ in range(_ROUNDS):
        rank = np.empty(size_idx.size, np.int64)
        rank[np.argsort(score + place[size_idx], kind="stable")] = np.arange(size_idx.size)
        found = ordered_s[rank]
        held = np.bincount(size_idx, weight * found, place.size).astype(np.float64)
        share = held / held.sum()
        off = float(np.abs(np.cumsum(share) - np.cumsum(wanted)).max())
        if off < least:
            best, least = found, off
        place += _STEP * np.log((wanted + 1e-4) / (share + 1e-4))
    return best

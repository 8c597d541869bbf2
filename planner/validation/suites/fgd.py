"""Suite ``fgd``: how full a cluster of shared accelerators gets under six published policies, and under ours.

The experiment of FGD (Weng et al., USENIX ATC 2023): pods of one list arrive in random order until 130 % of all
accelerators are asked for, nothing departs. The inputs are ``fgd/openb_node_list_gpu_node.csv`` and the pod lists,
``fgd/openb_pod_list_*.csv``; the artifact's results ``fgd/published_allo_discrete.csv`` and
``fgd/published_frag_ratio_discrete.csv``: a list, policy and seed a row, a column for each per cent asked for. Seeds
are taken from there; lists without a file are left out.
Ties go by one random order of the nodes, drawn once a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from planner.replay.fill import FillCurve, arrivals, fill
from planner.replay.fragmentation import Mix
from planner.replay.openb import read_nodes, read_pods
from planner.replay.scheduler import get_scheduler
from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target

__all__ = ["SUITE", "FgdSuite"]

_NODES = "fgd/openb_node_list_gpu_node.csv"
_ALLOCATED, _FRAGMENTED = "fgd/published_allo_discrete.csv", "fgd/published_frag_ratio_discrete.csv"
_LAST = 130  # per cent of the accelerators asked for in the end
_CURVE_STEP = 10
# The artifact's names, and ours.
_POLICIES = {
    "01-Random": "random-host",
    "02-DotProd": "dot-product",
    "03-GpuClustering": "gpu-clustering",
    "04-GpuPacking": "gpu-packing",
    "05-BestFit": "best-fit-score",
    "06-FGD": "fgd",
}
_OURS = "rehearsed"
_STRICT = ("best-fit-score", "fgd")
_STRICT_POINTS, _OTHER_POINTS, _CURVE_POINTS = 0.3, 0.7, 2.0

_Curves = dict[tuple[str, str], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Run:
    workload: str
    scheduler: str
    seed: int


def _one(data: DataDir, run: _Run) -> FillCurve:
    pods = read_pods(data, f"fgd/{run.workload}.csv")
    pool = read_nodes(data, _NODES, seed=run.seed)
    asks = arrivals(pods, pool.capacity_milli, load_frac=_LAST / 100, seed=run.seed)
    return fill(pool, asks, get_scheduler(run.scheduler), Mix.of(pods), seed=run.seed)


def _published(data: DataDir, name: str) -> tuple[_Curves, list[int]]:
    """Return the mean curves by list and policy, in per cent, and the seeds."""
    rows = data.rows(name, columns=("workload", "sc_policy", "seed", "0", str(_LAST)))
    curves: dict[tuple[str, str], list[list[float]]] = {}
    for row in rows:
        key = row.text("workload"), row.choice("sc_policy", tuple(_POLICIES))
        curves.setdefault(key, []).append([row.number(str(k)) for k in range(_LAST + 1)])
    means = {(workload, _POLICIES[policy]): np.mean(seen, axis=0) for (workload, policy), seen in curves.items()}
    return means, sorted({row.integer("seed") for row in rows})


@dataclass(frozen=True, slots=True)
class FgdSuite:
    """Six published policies and ours.

    Attributes
    ----------
    num_seeds
        How many of the published seeds are run; all if None.
    """

    num_seeds: int | None = None
    name: str = "fgd"
    title: str = "allocation of shared accelerators: six policies of FGD's artifact at 130 % load, and ours"
    files: tuple[str, ...] = (_NODES, _ALLOCATED, _FRAGMENTED)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Fill the cluster for every list, policy and seed."""
        allocated, seeds = _published(data, _ALLOCATED)
        fragmented, _ = _published(data, _FRAGMENTED)
        seeds = seeds[: self.num_seeds]
        named = sorted({workload for workload, _ in allocated})
        workloads = [w for w in named if not data.missing((f"fgd/{w}.csv",))]
        schedulers = [*_POLICIES.values(), _OURS]
        runs = [_Run(w, s, seed) for w in workloads for s in schedulers for seed in seeds]
        curves = _all(data, runs)

        cases: list[Case] = []
        for workload in workloads:
            for scheduler in schedulers:
                mine = [curves[_Run(workload, scheduler, seed)] for seed in seeds]
                key = workload, scheduler
                if key in allocated:
                    cases += _cases(workload, scheduler, mine, float(allocated[key][_LAST]), fragmented.get(key))
            cases.append(_against_fgd(workload, {s: _final(curves, workload, s, seeds) for s in schedulers}))
        left_out = [f"no pod list {w}.csv: left out" for w in named if w not in workloads]
        notes = [f"{len(workloads)} lists, {len(seeds)} seeds a list and policy; errors are in points / 100", *left_out]
        return SuiteOutcome(cases, list(_targets(cases)), notes, summary_kinds=frozenset({"allocated"}))


def _all(data: DataDir, runs: Sequence[_Run]) -> dict[_Run, FillCurve]:
    """Run on all processors; the results do not depend on how many.

    The seeds of one list and policy run in one process, since what a policy works out beforehand is the same for them;
    ours, which works out most, starts first.
    """
    together: dict[tuple[str, str], list[_Run]] = {}
    for run in sorted(runs, key=lambda run: run.scheduler != _OURS):
        together.setdefault((run.workload, run.scheduler), []).append(run)
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        done = workers.map(partial(_several, data), together.values())
        return {run: curve for group, curves in zip(together.values(), done, strict=True)
                for run, curve in zip(group, curves, strict=True)}  # fmt: skip


def _several(data: DataDir, runs: Sequence[_Run]) -> list[FillCurve]:
    return [_one(data, run) for run in runs]


def _final(curves: dict[_Run, FillCurve], workload: str, scheduler: str, seeds: Sequence[int]) -> float:
    return float(np.mean([100 * curves[_Run(workload, scheduler, seed)].final_frac for seed in seeds]))


def _cases(
    workload: str, scheduler: str, mine: Sequence[FillCurve], published: float, curve: npt.NDArray[np.float64] | None
) -> Iterator[Case]:
    ours = [100 * run.final_frac for run in mine]
    name = f"{workload} {scheduler}"
    detail = {"std": float(np.std(ours)), "scheduler": scheduler}
    yield _points(f"{name} allocated", "allocated", published, float(np.mean(ours)), detail)
    if curve is None:
        return
    seen = 100 * np.nanmean([run.fragmentation_frac[: _LAST + 1] for run in mine], axis=0)
    for k in range(_CURVE_STEP, _LAST + 1, _CURVE_STEP):
        yield _points(f"{name} fragmentation at {k} %", "fragmentation", float(curve[k]), float(seen[k]), detail)


def _points(name: str, kind: str, measured: float, predicted: float, detail: dict[str, object]) -> Case:
    """Return a case in per cent whose error is in points / 100."""
    error = abs(predicted - measured) / 100
    return Case(name, kind, measured, predicted, "%", error_frac=error, detail=detail)


def _against_fgd(workload: str, final: dict[str, float]) -> Case:
    """Set our policy beside our own run of FGD, on the same arrivals."""
    gain = final[_OURS] - final["fgd"]
    return Case(
        f"{workload} {_OURS} against fgd",
        "ours",
        final["fgd"],
        final[_OURS],
        "%",
        agrees=gain >= 0,
        detail={"gain_points": gain},
    )


def _targets(cases: Sequence[Case]) -> Iterator[Target]:
    def worst(kind: str, *, strict: bool | None = None) -> float | None:
        errors = [
            100 * case.error_frac
            for case in cases
            if case.kind == kind
            and case.error_frac is not None
            and (strict is None or (case.detail["scheduler"] in _STRICT) == strict)
        ]
        return max(errors, default=None)

    gains = [case.detail["gain_points"] for case in cases if case.kind == "ours"]
    yield Target("fgd and best-fit allocated, worst points", worst("allocated", strict=True), _STRICT_POINTS)
    yield Target("others allocated, worst points", worst("allocated", strict=False), _OTHER_POINTS)
    yield Target("fragmentation curves, worst points", worst("fragmentation"), _CURVE_POINTS)
    yield Target("ours above fgd, least points", min(gains, default=None), 0.0, ">=")
    yield Target("ours above fgd, mean points", float(np.mean(gains)) if gains else None, 0.01, ">=")


SUITE = FgdSuite()

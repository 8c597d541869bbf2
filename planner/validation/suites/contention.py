"""Suite ``contention``: rings that share a leaf-spine fabric, against a fluid simulator and a packet-level one.

``contention/cases.json``: fabrics of L leaves with H hosts each and S spines, the spine that each pair of neighbours in
a ring is pinned to, and the jobs with their ring order and bytes a rank. ``contention/jobs.csv``, a job a row: times of
SimGrid's max-min fluid model and of csg-htsim with HPCC and with RoCE. All jobs start at once and run one ring
all-reduce; the model solves job max-min again whenever one leaves.

Rows marked ``phase_sensitive`` depend on when the others start to the microsecond and do not count against SimGrid.
Packet-level times of single jobs are unfair by chance, so there whole cases are compared, by makespan and by the sum of
all their jobs' times, after one scalar a protocol (headers, window dynamics): the median ratio of the makespans. The
metrics give the same figures of the fluid referee itself: no fluid model can be expected to do much better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from planner.congestion.events import Program, run_events
from planner.congestion.incidence import Incidence
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.units import from_gbps, from_us, to_us

__all__ = ["SUITE"]

_CASES = "contention/cases.json"
_JOBS = "contention/jobs.csv"
_PACKET_LEVEL = ("htsim_hpcc_us", "htsim_roce_us")
_FASTER_INSIDE = 1000.0  # the path inside a host is never what a case is about


def _leaf_spine(case: Mapping[str, Any]) -> Fabric:
    """Build the fabric of a case: host i on leaf i // H, every leaf on every spine."""
    builder = FabricBuilder(str(case["name"]))
    leaves, spines, hosts = int(case["L"]), int(case["S"]), int(case["H"])
    leaf = builder.add_switches([f"leaf{i}" for i in range(leaves)], tier=1)
    spine = builder.add_switches([f"spine{i}" for i in range(spines)], tier=2)
    rate = from_gbps(float(case["host_gbps"]))
    block = builder.add_hosts(
        [f"h{i}" for i in range(leaves * hosts)], accelerators=1, nics=1, host_link_bytes_per_s=_FASTER_INSIDE * rate
    )
    builder.add_cables(block.nic[:, 0], np.repeat(leaf, hosts), rate_bytes_per_s=rate)
    builder.add_cables(leaf[:, None], spine[None, :], rate_bytes_per_s=from_gbps(float(case["up_gbps"])))
    return builder.build()


def _incidence(fabric: Fabric, case: Mapping[str, Any]) -> Incidence:
    """Rings × links along the pinned paths."""
    link_of = {(int(s), int(t)): i for i, (s, t) in enumerate(zip(fabric.link_source, fabric.link_target, strict=True))}
    leaf = {h: int(fabric.nic_leaf[h]) for h in range(fabric.num_hosts)}
    rows: list[int] = []
    links: list[int] = []
    for j, job in enumerate(case["jobs"]):
        ring = [int(h) for h in job["ring"]]
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            nodes = [fabric.num_accelerators + a, leaf[a]]
            if leaf[a] != leaf[b]:
                nodes += [fabric.node_idx(f"spine{int(case['paths'][f'{a},{b}'])}"), leaf[b]]
            nodes.append(fabric.num_accelerators + b)
            links += [link_of[hop] for hop in pairwise(nodes)]
            rows += [j] * (len(nodes) - 1)
    return Incidence.from_entries(
        rows, links, np.ones(len(rows)), num_rows=len(case["jobs"]), num_links=fabric.num_links
    )


def predict_us(case: Mapping[str, Any], alpha_us: float) -> list[float]:
    """Return the predicted time of every job of a case, in µs."""
    fabric = _leaf_spine(case)
    ranks = np.array([len(job["ring"]) for job in case["jobs"]], np.float64)
    size = np.array([job["bytes"] for job in case["jobs"]], np.float64)
    program = Program.of(2 * (ranks - 1) / ranks * size, row_latency_s=2 * (ranks - 1) * from_us(alpha_us))
    timeline = run_events(_incidence(fabric, case), fabric.link_capacity_bytes_per_s, program)
    return [to_us(float(t)) for t in timeline.finish_s]


def _by_case(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.text("case"), []).append(row)
    return groups


def _compare(data: DataDir) -> tuple[list[Case], list[_Packets]]:
    """Job by job against the fluid referee, and what to compare with the packet-level ones."""
    cases_by_name = _read_cases(data)
    cases: list[Case] = []
    packets: list[_Packets] = []
    for name, rows in _by_case(data.rows(_JOBS)).items():
        if name not in cases_by_name:
            raise InputError(what="a row of an unknown case", where=rows[0].where, found=repr(name))
        try:
            predicted = predict_us(cases_by_name[name], rows[0].number("alpha_us", minimum=0))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(what="malformed case", where=f"{_CASES}: {name}", found=repr(error)) from error
        for row in rows:
            if row.integer("job") >= len(predicted):
                raise InputError(what="a row of an unknown job", where=row.where, allowed=f"0 to {len(predicted) - 1}")
        steady = [row for row in rows if row.integer("phase_sensitive") == 0]
        for row in rows:
            ours = predicted[row.integer("job")]
            counts = row in steady
            why_not = "" if counts else "phase-sensitive: hangs on when the others start"
            cases.append(
                Case.of_figures(
                    f"{name} job {row.integer('job')}",
                    "job",
                    row.number("simgrid_us", minimum=0),
                    ours,
                    "us",
                    counts=counts,
                    why_not=why_not,
                )
            )
        if steady:
            theirs = [row.number("simgrid_us") for row in steady]
            mine = [predicted[row.integer("job")] for row in steady]
            cases.append(Case.of_figures(f"{name} makespan", "makespan", max(theirs), max(mine), "us"))
        packets += [_Packets(column, rows, predicted) for column in _PACKET_LEVEL if _has_all(rows, column)]
    return cases, packets


def _read_cases(data: DataDir) -> dict[str, Mapping[str, Any]]:
    cases = data.json(_CASES)
    if not isinstance(cases, list) or not all(isinstance(case, dict) and "name" in case for case in cases):
        raise InputError(what="not a list of named cases", where=_CASES)
    return {str(case["name"]): case for case in cases}


def _has_all(rows: Sequence[Row], column: str) -> bool:
    return all(row.optional(column, minimum=0) is not None for row in rows)


class _Packets:
    """One case at packet level: times of all its jobs there, by the model and by the fluid referee."""

    def __init__(self, column: str, rows: Sequence[Row], predicted_us: Sequence[float]) -> None:
        self.column = column
        self.seen_us = [row.number(column, minimum=0) for row in rows]
        self.model_us = [predicted_us[row.integer("job")] for row in rows]
        self.fluid_us = [row.number("simgrid_us", minimum=0) for row in rows]
        self.steady = [row.integer("phase_sensitive") == 0 for row in rows]


def _judge_packets(protocol: str, packets: Sequence[_Packets], metrics: dict[str, Any]) -> list[Target]:
    """Compare makespans after one scalar, and the order of the summed times; fill in the metrics."""
    seen = np.array([max(p.seen_us) for p in packets])
    sums = [sum(p.seen_us) for p in packets]
    judged: dict[str, tuple[float, float | None, float | None]] = {}
    for who in ("model_us", "fluid_us"):
        ours = np.array([max(getattr(p, who)) for p in packets])
        scalar = float(np.median(seen / ours))
        errors = list(np.abs(ours * scalar - seen) / seen)
        judged[who] = scalar, _mean(errors), quantile(errors, 0.9)
        metrics[f"{protocol} {who.removesuffix('_us')}"] = {
            "scalar": scalar,
            "makespan_mean_error_frac": _mean(errors),
            "spearman_of_sums": _spearman(sums, [sum(getattr(p, who)) for p in packets]),
            "spearman_of_sums_phase_stable_jobs": _spearman(
                [_steady_sum(p, p.seen_us) for p in packets], [_steady_sum(p, getattr(p, who)) for p in packets]
            ),
        }
    _, mean, p90 = judged["model_us"]
    return [
        Target(f"{protocol} makespan mean_error_frac", mean, 0.025),
        Target(f"{protocol} makespan p90_error_frac", p90, 0.06),
        Target(f"{protocol} spearman of summed times", metrics[f"{protocol} model"]["spearman_of_sums"], 0.99, ">="),
    ]


def _steady_sum(packets: _Packets, times_us: Sequence[float]) -> float:
    return sum(t for t, steady in zip(times_us, packets.steady, strict=True) if steady)


def _spearman(measured: Sequence[float], predicted: Sequence[float]) -> float | None:
    if len(measured) < 3:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(measured, predicted).statistic)


class ContentionSuite:
    """Job max-min against SimGrid and csg-htsim."""

    name = "contention"
    title = "rings that share links: job max-min against a fluid and a packet-level simulator"
    files = (_CASES, _JOBS)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every job and every makespan."""
        cases, packets = _compare(data)
        by_kind = {
            kind: [c.error_frac for c in cases if c.kind == kind and c.counts and c.error_frac is not None]
            for kind in ("job", "makespan")
        }
        targets = [
            Target("simgrid job mean_error_frac", _mean(by_kind["job"]), 0.01),
            Target("simgrid job p90_error_frac", quantile(by_kind["job"], 0.9), 0.02),
            Target("simgrid job max_error_frac", max(by_kind["job"], default=None), 0.15),
            Target("simgrid makespan max_error_frac", max(by_kind["makespan"], default=None), 0.01),
        ]
        metrics: dict[str, Any] = {}
        for column in _PACKET_LEVEL:
            mine = [p for p in packets if p.column == column]
            if mine:
                targets += _judge_packets(column.removesuffix("_us"), mine, metrics)
        return SuiteOutcome(cases, targets, metrics=metrics, summary_kinds=frozenset({"job"}))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


SUITE = ContentionSuite()

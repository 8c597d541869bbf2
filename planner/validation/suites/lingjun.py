"""Part of suite ``replay``: jobs of Alibaba's Lingjun that can meet on the network, and a GPT beside a BERT.

``traces/lingjun_topology.csv`` (host, asw, psw, dsw) and ``traces/lingjun_models_gpus.csv`` (model, gpus) are of the
cluster of Crux (Cao et al., SIGCOMM 2024). They do not say which job ran when or where, nor how many switches stand
behind a label. So jobs are drawn from the list until nine tenths of the accelerators are asked for, placed by
schedulers from blind to careful, and routed by ECMP; a job is at risk if it shares a link above the leaves with
another. The published share has to lie between the schedulers. Assumed: 16 aggregation switches behind a label, 400
Gb/s from every leaf to each, four 200 Gb/s NICs a host of eight accelerators, as in the catalogue's ``lingjun-2023``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.maxmin import max_min_rates
from planner.congestion.score import alone_rates
from planner.replay.fragmentation import Mix
from planner.replay.on_fabric import pool_of, ranks_of
from planner.replay.pool import Ask
from planner.replay.running import Running, asks_of
from planner.replay.scheduler import get_scheduler
from planner.replay.stretch import Congestion
from planner.traces.trace import TraceJob
from planner.validation.datadir import DataDir
from planner.validation.record import Case
from topologies.fabric import Fabric, Int64s
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document
from topologies.routing.ecmp import Ecmp

__all__ = ["JOBS", "TOPOLOGY", "lingjun_cases"]

TOPOLOGY, JOBS = "traces/lingjun_topology.csv", "traces/lingjun_models_gpus.csv"

_POLICIES = ("random-host", "first-fit", "best-fit", "slurm-tree")
_BLIND, _OURS = "first-fit", "best-fit"  # what a site does that does not know its leaves, and what we do
_LOAD, _SEEDS = 0.9, (1, 2, 3)
_AT_RISK_PCT, _AT_RISK_GPUS_PCT = 36.3, 51.0
_GAIN_PCT = (4.0, 23.0)  # utilization, in the paper's simulation; 8.3 to 14.8 on its testbed
_GPT_ALONE_S, _GPT_BESIDE_S = 1.53, 1.70
_COMMUNICATE_FRACS = (0.1, 0.3, 0.5)  # the paper does not tell how much of a step is communication
_DRAWS = 50

_HEAD = """\
schema_version: 1
kind: graph
name: lingjun
link_latency_us: 1.0
host_types:
  box:
    accelerator: a100-sxm-80g
    accelerators: 8
    nic: ethernet-200g
    nics: 4
    host_link_latency_us: 0.8
    scale_up: {latency_us: 3.33}
"""


@dataclass(frozen=True)
class _Snapshot:
    """Jobs where they run at once: accelerators, ranks of those that cross leaves (None for others)."""

    gpus: Int64s
    ranks: tuple[Int64s | None, ...]
    runs: tuple[Running, ...]


def _fabric(hosts: Sequence[tuple[str, str, str, str]]) -> Fabric:
    """Return the fabric of hosts, each with its leaf, aggregation label and core label."""
    leaves = dict.fromkeys((asw, psw) for _, asw, psw, _ in hosts)
    groups = dict.fromkeys((psw, dsw) for *_, psw, dsw in hosts)
    lines = [_HEAD, "switches:"]
    lines += [f'  - {{names: "{dsw}/dsw[00-15]", tier: core}}' for dsw in dict.fromkeys(dsw for _, dsw in groups)]
    lines += [f'  - {{names: "{psw}/psw[00-15]", tier: spine, pod: "{psw}"}}' for psw, _ in groups]
    lines += [f'  - {{names: "{asw}", tier: leaf, pod: "{psw}"}}' for asw, psw in leaves]
    lines += ["links:"]
    lines += [f'  - {{a: "{asw}", b: "{psw}/psw[00-15]", rate_gbps: 400}}' for asw, psw in leaves]
    lines += [f'  - {{a: "{psw}/psw[00-15]", b: "{dsw}/dsw[00-15]", rate_gbps: 400}}' for psw, dsw in groups]
    lines += ["hosts:"]
    lines += [f'  - {{leaf: "{asw}", type: box, names: "{host}"}}' for host, asw, _, _ in hosts]
    return fabric_of(parse_document("\n".join(lines) + "\n", "lingjun.yaml"))


def _snapshot(fabric: Fabric, sizes: Sequence[int], policy: str, seed: int) -> _Snapshot:
    """Place jobs drawn from the list until so much is asked for, or one does not fit."""
    rng = np.random.default_rng(seed)
    pool = pool_of(fabric)
    scheduler = get_scheduler(policy)
    scheduler.prepare(pool, Mix((Ask(pool.width),), (1.0,)), seed=seed)
    runs: list[Running] = []
    asked = 0
    while asked < _LOAD * fabric.num_accelerators:
        gpus = int(sizes[int(rng.integers(len(sizes)))])
        job = TraceJob(str(len(runs)), 0, 1, gpus)
        grants = scheduler.choose(pool, asks_of(job, pool.width))
        if grants is None:
            break
        for grant in grants:
            pool.take(grant)
        asked += gpus
        runs.append(Running(len(runs), job, grants, 0, 1, 0))
    ranks = tuple(
        ranks_of(fabric, run.grants)
        if len({int(fabric.host_leaf_group[grant.host]) for grant in run.grants}) > 1
        else None
        for run in runs
    )
    return _Snapshot(np.array([run.job.gpus for run in runs]), ranks, tuple(runs))


def _at_risk(fabric: Fabric, snapshot: _Snapshot) -> tuple[float, float]:
    """Return the share of jobs, and of their accelerators, that share a link above the leaves with another job."""
    users: dict[int, set[int]] = {}
    for number, ranks in enumerate(snapshot.ranks):
        if ranks is not None:
            loads = loads_of(fabric, job_flows(fabric, [ranks], [Demand(2.0**30)]), Ecmp(0))
            for link in np.unique(loads.incidence.link).tolist():
                users.setdefault(link, set()).add(number)
    risk = sorted(set().union(*(jobs for jobs in users.values() if len(jobs) > 1)))
    if not risk:
        return 0.0, 0.0
    return len(risk) / len(snapshot.gpus), float(snapshot.gpus[risk].sum() / snapshot.gpus.sum())


def _speed(fabric: Fabric, snapshot: _Snapshot) -> float:
    """Return the accelerators' worth of progress over those held, with congestion."""
    slow = Congestion(fabric, routing="ecmp").changed(dict(enumerate(snapshot.runs)), snapshot.runs, ())
    slowdown = np.array([slow.get(number, 1.0) for number in range(len(snapshot.runs))])
    return float((snapshot.gpus / slowdown).sum() / snapshot.gpus.sum())


def lingjun_cases(data: DataDir) -> Iterator[Case]:
    """Yield the shares at risk, what placement gains, and the GPT beside the BERT."""
    if data.missing((TOPOLOGY, JOBS)):
        return
    rows = data.rows(TOPOLOGY, columns=("host", "asw", "psw", "dsw"))
    fabric = _fabric([(r.text("host"), r.text("asw"), r.text("psw"), r.text("dsw")) for r in rows])
    sizes = [row.integer("gpus") for row in data.rows(JOBS, columns=("model", "gpus"))]
    sizes = [size for size in sizes if 0 < size <= fabric.num_accelerators]
    taken = {policy: [_snapshot(fabric, sizes, policy, seed) for seed in _SEEDS] for policy in _POLICIES}
    risk = {p: np.mean([_at_risk(fabric, snapshot) for snapshot in taken[p]], axis=0) * 100 for p in _POLICIES}
    for k, (what, published) in enumerate((("jobs", _AT_RISK_PCT), ("accelerators", _AT_RISK_GPUS_PCT))):
        shares = {policy: float(risk[policy][k]) for policy in _POLICIES}
        yield Case(
            f"lingjun {what} at risk of contention",
            "range",
            published,
            shares[_BLIND],
            "%",
            agrees=min(shares.values()) <= published <= max(shares.values()),
            detail=dict(shares),
        )
    speed = {p: float(np.mean([_speed(fabric, snapshot) for snapshot in taken[p]])) for p in (_BLIND, _OURS)}
    gain = 100 * (speed[_OURS] / speed[_BLIND] - 1)
    yield Case(
        f"lingjun useful time gained by {_OURS} over {_BLIND}",
        "gain",
        None,
        gain,
        "%",
        counts=False,
        why_not=f"published {_GAIN_PCT[0]:g} to {_GAIN_PCT[1]:g} %, by another method on jobs that are not published",
        detail={"speed_blind_frac": speed[_BLIND], "speed_ours_frac": speed[_OURS]},
    )
    yield from _gpt_beside_bert()


def _gpt_beside_bert() -> Iterator[Case]:
    """Yield a step of 64 accelerators beside 16 under the same two leaves, over hashes of ECMP and parts of a step."""
    fabric = _fabric([(f"h{i:02d}", f"P1-S{i // 6}", "P1", "G1") for i in range(12)])
    start = fabric.host_accelerator_start
    gpt = np.concatenate([np.arange(start[h], start[h] + 8) for h in (0, 1, 2, 3, 6, 7, 8, 9)])
    bert = np.concatenate([np.arange(start[h], start[h] + 4) for h in (4, 5, 10, 11)])
    both = job_flows(fabric, [gpt, bert], [Demand(2.0**30)] * 2)
    longer = []
    for seed in range(_DRAWS):
        loads = loads_of(fabric, both, Ecmp(seed))
        capacity = loads.channels.capacity_bytes_per_s
        beside = loads.times_at(max_min_rates(loads.incidence, capacity).rate_bytes_per_s)[0]
        alone = loads.times_at(alone_rates(loads.incidence, capacity).rate_bytes_per_s)[0]
        longer.append(float(beside / alone))
    steps = np.array([[_GPT_ALONE_S * (1 + part * (k - 1)) for k in longer] for part in _COMMUNICATE_FRACS])
    least, most = float(steps.min()), float(steps.max())
    yield Case(
        "lingjun GPT on 64 beside BERT on 16",
        "range",
        _GPT_BESIDE_S,
        float(np.median(steps)),
        "s",
        agrees=least <= _GPT_BESIDE_S <= most,
        detail={"least_s": least, "most_s": most, "collides_frac": float(np.mean(np.array(longer) > 1 + 1e-9))},
    )

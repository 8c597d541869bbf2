"""Congestion of 500 jobs on three-tier Clos fabrics with eight rails, as multiples of a memcpy of the data touched.

Jobs fill the fabric, in blocks of four hosts strewn over it. *Data touched*: what goes in (link and multiplicity of all
entries, row starts, capacities), the loads of the links in between, and the rates that come out, each counted once.
"""

from __future__ import annotations

import numpy as np

from planner.collectives.traffic import Demand, JobFlows, job_flows
from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import bottleneck_rates, max_min_rates
from planner.congestion.score import score_flows
from planner.congestion.symmetric import RailSymmetry
from tests.benchmarks.measure import side_by_side, timed
from tests.benchmarks.table import Table
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric
from topologies.routing.ecmp import Ecmp
from topologies.routing.router import router_for
from topologies.routing.spray import Spray

_NUM_JOBS = 500
_BLOCK_HOSTS = 4
_CANDIDATES, _CANDIDATE_HOSTS = 1000, 64
_REPEAT = 15
# Issue C's targets: bottleneck score, job max-min (both × memcpy), closed form, one candidate (both s).
_TARGETS = {16384: (8.0, 25.0, 50e-6, 25e-6), 131072: (4.0, 12.0, 160e-6, 30e-6)}


def _jobs(fabric: Fabric, rng: np.random.Generator) -> list[np.ndarray]:
    """Hosts of jobs that together fill the fabric, sorted within each job."""
    blocks = rng.permutation(fabric.num_hosts // _BLOCK_HOSTS)
    order = (blocks[:, None] * _BLOCK_HOSTS + np.arange(_BLOCK_HOSTS)).ravel()
    cuts = np.sort(rng.choice(np.arange(1, order.size), _NUM_JOBS - 1, replace=False))
    return [np.sort(part) for part in np.split(order, cuts)]


def _flows(fabric: Fabric, hosts: list[np.ndarray]) -> JobFlows:
    each = int(fabric.host_num_accelerators[0])
    ranks = [(h[:, None] * each + np.arange(each)).ravel() for h in hosts]
    return job_flows(fabric, ranks, [Demand(2**30)] * len(hosts))


def _ring_incidence(fabric: Fabric, flows: JobFlows) -> Incidence:
    """Jobs × links of the flows that leave the hosts, hashed."""
    out = np.flatnonzero(flows.source_node >= fabric.num_accelerators)
    routed = router_for(fabric).route(flows.source_node[out], flows.target_node[out], Ecmp())
    start = routed.flow_start[np.searchsorted(flows.job[out], np.arange(flows.num_jobs + 1))]
    times = np.ones(routed.link.size)
    start.flags.writeable = times.flags.writeable = False
    return Incidence(start, routed.link, times, fabric.num_links)


def _route(fabric: Fabric, flows: JobFlows) -> None:
    """Hash the flows that leave the hosts: what comes before a score where link numbers are not known yet."""
    out = np.flatnonzero(flows.source_node >= fabric.num_accelerators)
    router_for(fabric).route(flows.source_node[out], flows.target_node[out], Ecmp())


def bench(table: Table) -> None:
    for size, (bottleneck, max_min, closed, candidate) in _TARGETS.items():
        fabric = load_fabric(f"hgx-h100-{size}")
        rng = np.random.default_rng(0)
        hosts = _jobs(fabric, rng)
        flows = _flows(fabric, hosts)
        incidence, capacity = _ring_incidence(fabric, flows), fabric.link_capacity_bytes_per_s
        name = f"{size:,} GPUs"

        load, rates = np.zeros(fabric.num_links), np.zeros(2 * _NUM_JOBS)
        touched = [incidence.row_start, incidence.link, incidence.multiplicity, capacity, load, rates]
        copies = [np.zeros_like(array) for array in touched]

        def memcpy(copies: list[np.ndarray] = copies, touched: list[np.ndarray] = touched) -> None:
            for copy, array in zip(copies, touched, strict=True):
                np.copyto(copy, array)

        for what, solve, limit in (
            ("bottleneck score from scratch", bottleneck_rates, bottleneck),
            ("with job max-min", max_min_rates, max_min),
        ):
            ours, copied = side_by_side(lambda: solve(incidence, capacity), memcpy, repeat=_REPEAT)  # noqa: B023
            table.add(f"{what}, {name}", ours.median_s / copied.median_s, unit="× memcpy", at_most=limit)
            table.add(f"{what}, {name}", ours.median_s, against="memcpy of data touched", reference=copied.median_s)

        symmetry = RailSymmetry.of(fabric)
        assert symmetry is not None
        use = symmetry.use_of(hosts)
        table.add(f"closed form, {name}", timed(lambda: symmetry.rates(use), repeat=201).median_s, at_most=closed)  # noqa: B023
        places = np.array([rng.choice(fabric.num_hosts, _CANDIDATE_HOSTS, replace=False) for _ in range(_CANDIDATES)])
        judged = timed(lambda: symmetry.candidate_rates(use, places), repeat=9)  # noqa: B023
        table.add(f"one candidate of 64 hosts, {name}", judged.median_s / _CANDIDATES, at_most=candidate)
        routed = timed(lambda: _route(fabric, flows), repeat=5)  # noqa: B023
        table.add(f"routing by hash alone, not part of the scores above, {name}", routed.median_s)
        for routing in (Spray(), Ecmp()):
            whole = timed(lambda: score_flows(fabric, flows, routing), repeat=3)  # noqa: B023
            table.add(f"whole report, {routing.name}, {name}", whole.median_s)

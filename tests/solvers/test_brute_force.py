"""On tiny problems no solver beats brute force, and cp-sat reaches it on the first level."""

from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric


def tiny() -> Fabric:
    """Return two leaves with two hosts of two accelerators each."""
    builder = FabricBuilder("tiny")
    hosts = builder.add_hosts([f"h{i}" for i in range(4)], accelerators=2, nics=1, host_link_bytes_per_s=50e9)
    leaves = builder.add_switches(["leaf0", "leaf1"])
    spine = builder.add_switches(["spine"])
    builder.add_cables(hosts.accelerator[:, 0], hosts.accelerator[:, 1], rate_bytes_per_s=400e9)
    builder.add_cables(hosts.nic[:, 0], leaves.repeat(2), rate_bytes_per_s=25e9)
    builder.add_cables(leaves, spine, rate_bytes_per_s=25e9)
    return builder.build()


FABRIC = tiny()


def best_weight(problem: Problem) -> float:
    """Try every subset of jobs and every way to hand out accelerators."""

    def search(jobs: tuple[Job, ...], free: frozenset[int], ranks: dict[str, np.ndarray]) -> float:
        if not jobs:
            placement = Placement(ranks)
            return -1.0 if placement.faults(problem) else sum(j.weight for j in problem.jobs if j.id in ranks)
        job, rest = jobs[0], jobs[1:]
        best = search(rest, free, ranks)
        for chosen in combinations(sorted(free), job.accelerators):
            best = max(best, search(rest, free - set(chosen), {**ranks, job.id: np.array(chosen)}))
        return best

    free = frozenset(np.flatnonzero(problem.state.free).tolist())
    return search(problem.jobs, free, {})


def jobs() -> st.SearchStrategy[tuple[Job, ...]]:
    one = st.builds(
        lambda size, per_host, domain, alone, leaf, priority: (size, per_host, domain, alone, leaf, priority),
        st.integers(1, 4),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([1.0, 2.0, 2.5]),
    )

    def make(specs: list[tuple[int, bool, bool, bool, bool, float]]) -> tuple[Job, ...]:
        return tuple(
            Job(
                f"j{i}",
                size,
                accelerators_per_host=(2 if size % 2 == 0 else 1) if per_host else None,
                same_domain=domain and size <= 2,
                exclusive=alone,
                max_leaf_groups=1 if leaf else None,
                priority=priority,
            )
            for i, (size, per_host, domain, alone, leaf, priority) in enumerate(specs)
        )

    return st.lists(one, min_size=1, max_size=3).map(make)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs(), st.sets(st.integers(0, 7), max_size=4))
def test_no_solver_beats_brute_force_and_cp_sat_reaches_it(batch: tuple[Job, ...], busy: set[int]) -> None:
    state = ClusterState.empty(FABRIC).with_accelerators(sorted(busy), Availability.TAKEN)
    problem = Problem(FABRIC, state, batch)
    best = best_weight(problem)
    for name in ("first-fit", "best-fit", "slurm-tree", "random"):
        result = get_solver(name).solve(problem, time_limit_s=5, seed=1)
        assert result.score["placed_weight"] <= best + 1e-9
    result = get_solver("cp-sat").solve(problem, time_limit_s=5, seed=1)
    assert result.bound["placed_weight"] >= best - 1e-9
    assert result.score["placed_weight"] <= best + 1e-9
    if not any(job.accelerators > 1 and job.accelerators_per_host is None and not job.same_domain for job in batch):
        assert result.score["placed_weight"] >= best - 1e-9

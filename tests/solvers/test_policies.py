r"""Where each scheduler puts a job, worked out by hand.

leaf0        leaf1        leaf2         one pod, four accelerators a host
h0 h1 h2     h3 h4 h5     h6 h7 h8
4  4  4      .  4  4      .  .  4       free; a dot is a full host
"""

import numpy as np
import pytest

from planner.job import Job
from planner.problem import Problem
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.names import NameTemplate


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    builder = FabricBuilder("nine")
    hosts = builder.add_hosts(NameTemplate("h{}", (9,)), accelerators=4, nics=1, host_link_bytes_per_s=50e9)
    inside = builder.add_switches(NameTemplate("nv{}", (9,)), scale_up=True)
    leaves = builder.add_switches(NameTemplate("leaf{}", (3,)))
    spine = builder.add_switches(["spine"])
    builder.add_cables(hosts.accelerator, inside[:, None], rate_bytes_per_s=400e9)
    builder.add_cables(hosts.nic[:, 0], leaves.repeat(3), rate_bytes_per_s=25e9)
    builder.add_cables(leaves, spine, rate_bytes_per_s=25e9)
    return builder.build()


def hosts_of(fabric: Fabric, solver: str, job: Job, full: tuple[str, ...] = ("h3", "h6", "h7")) -> list[int]:
    state = ClusterState.empty(fabric).with_hosts(fabric, full, Availability.TAKEN)
    result = get_solver(solver).solve(Problem(fabric, state, (job,)), time_limit_s=5, seed=1)
    if not len(result.placement):
        return []
    return np.unique(fabric.accelerator_host[result.placement.ranks[job.id]]).tolist()


@pytest.mark.parametrize(
    ("job", "first_fit", "best_fit", "slurm_tree"),
    [
        # one host: first-fit takes the first, the others the leaf with least room
        (Job("a", 4), [0], [8], [8]),
        # two hosts: leaf1 has exactly two free
        (Job("a", 8, accelerators_per_host=4), [0, 1], [4, 5], [4, 5]),
        (Job("a", 12, accelerators_per_host=4), [0, 1, 2], [0, 1, 2], [0, 1, 2]),
        # five hosts: no leaf holds them; Slurm takes the leaf with most room, then the leaf that just holds the rest
        (Job("a", 20, accelerators_per_host=4), [0, 1, 2, 4, 5], [0, 1, 2, 4, 5], [0, 1, 2, 4, 5]),
        (Job("a", 16, accelerators_per_host=4), [0, 1, 2, 4], [0, 1, 2, 4], [0, 1, 2, 8]),
        (Job("a", 28, accelerators_per_host=4), [], [], []),
    ],
)
def test_by_hand(fabric: Fabric, job: Job, first_fit: list[int], best_fit: list[int], slurm_tree: list[int]) -> None:
    assert hosts_of(fabric, "first-fit", job) == first_fit
    assert hosts_of(fabric, "best-fit", job) == best_fit
    assert hosts_of(fabric, "slurm-tree", job) == slurm_tree


def test_reasons_name_what_stands_in_the_way(fabric: Fabric) -> None:
    state = ClusterState.empty(fabric).with_hosts(fabric, ["h3", "h6", "h7"], Availability.TAKEN)
    state = state.with_taken(fabric, "h0", 1)
    cases = {
        Job("a", 28): "needs 28 accelerators; 23 are free",
        Job("a", 24, accelerators_per_host=4): "needs 6 hosts with 4 free; 23 accelerators are free",
        Job(
            "a", 20, accelerators_per_host=4, max_leaf_groups=1
        ): "at most 1 leaf group; the 1 leaf group with most room",
        Job("a", 5, same_domain=True): "in one scale-up domain; the scale-up domain with most room has 4 free",
        Job("a", 21, exclusive=True): "on hosts of its own; 23 are free, 20 of them on hosts without other jobs",
    }
    for job, words in cases.items():
        for solver in ("first-fit", "cp-sat"):
            result = get_solver(solver).solve(Problem(fabric, state, (job,)), time_limit_s=5, seed=1)
            assert words in result.refusals[0].reason, (solver, result.refusals)

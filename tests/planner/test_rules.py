r"""Each rule of a job: what is a fault, what is none, worked out by hand.

spine0        spine1        two pods of two leaves of two hosts, two accelerators a host
/    \        /    \        accelerators 2h and 2h + 1 sit in host h
leaf0 leaf1   leaf2 leaf3
h0 h1 h2 h3   h4 h5 h6 h7
"""

from typing import Any

import numpy as np
import pytest

from planner.evaluate import evaluate
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.sharing import mig_fits, mig_profile, mig_slices
from planner.state import Availability, ClusterState
from tests.solvers.tiny_problems import FABRICS, RING
from topologies.errors import InputError

FABRIC = FABRICS[False]
EMPTY = ClusterState.empty(FABRIC)


def faults(
    jobs: tuple[Job, ...], ranks: dict[str, list[int]], *, state: ClusterState = EMPTY, **more: Any
) -> list[str]:
    spares = {job_id: np.array(a) for job_id, a in more.pop("spares", {}).items()}
    placement = Placement({job_id: np.array(a) for job_id, a in ranks.items()}, spares)
    return placement.faults(Problem(FABRIC, state, jobs, **more))


@pytest.mark.parametrize(
    ("jobs", "good", "bad", "words"),
    [
        (
            (Job("a", 8, accelerators_per_host=2, segment_hosts=2),),
            {"a": [0, 1, 2, 3, 8, 9, 10, 11]},
            {"a": [0, 1, 2, 3, 4, 5, 8, 9]},
            "has 1 hosts in a leaf group and wants segments of 2",
        ),
        (
            (Job("a", 1, anti_affinity="x"), Job("b", 1, anti_affinity="x")),
            {"a": [0], "b": [2]},
            {"a": [0], "b": [1]},
            "jobs 'a' and 'b' share a host and must not",
        ),
        (
            (
                Job("a", 1, anti_affinity="x", anti_affinity_reach="pod"),
                Job("b", 1, anti_affinity="x", anti_affinity_reach="pod"),
            ),
            {"a": [0], "b": [8]},
            {"a": [0], "b": [4]},
            "share a pod and must not",
        ),
        (
            (Job("a", 1, tenant="red", isolation="leaf"), Job("b", 1, tenant="blue"), Job("c", 1, tenant="red")),
            {"a": [0], "b": [4], "c": [1]},
            {"a": [0], "b": [2], "c": [1]},
            "job 'a' shares a leaf group with another tenant",
        ),
        (
            (Job("a", 4, domain_group=2),),
            {"a": [0, 1, 4, 5]},
            {"a": [0, 4, 1, 5]},
            "wants every 2 ranks in one scale-up domain",
        ),
        ((Job("a", 2, max_pods=1),), {"a": [0, 4]}, {"a": [0, 8]}, "over 2 pods and allows 1"),
        (
            (Job("a", 1, share_frac=0.5), Job("b", 1, share_frac=0.5), Job("c", 1, share_frac=0.25)),
            {"a": [0], "b": [0], "c": [1]},
            {"a": [0], "b": [0], "c": [0]},
            "is shared beyond the 1 that is left of it",
        ),
        (
            (Job("a", 1, share_frac=0.5), Job("b", 1)),
            {"a": [0], "b": [1]},
            {"a": [0], "b": [0]},
            "is used as a whole and in parts",
        ),
    ],
)
def test_a_rule(jobs: tuple[Job, ...], good: dict[str, list[int]], bad: dict[str, list[int]], words: str) -> None:
    assert faults(jobs, good) == []
    assert any(words in fault for fault in faults(jobs, bad)), faults(jobs, bad)


def test_isolation_keeps_from_whoever_is_there() -> None:
    state = EMPTY.with_accelerators([0], Availability.TAKEN)
    job = (Job("a", 1, tenant="red", isolation="host"),)
    assert "shares a host with another tenant" in faults(job, {"a": [1]}, state=state)[0]
    assert faults(job, {"a": [2]}, state=state) == []


def test_spare_hosts_stand_in_each_domain_used() -> None:
    job = (Job("a", 4, accelerators_per_host=2, spare_hosts=1),)
    ranks = {"a": [0, 1, 8, 9]}
    assert faults(job, ranks, spares={"a": [2, 3, 10, 11]}) == []
    assert "holds 0 spare hosts in a leaf group it uses and wants 1" in faults(job, ranks, spares={"a": [2, 3]})[0]
    assert "has a spare host that it runs on" in faults(job, ranks, spares={"a": [0, 1, 10, 11]})[-1]
    assert "2 times" in faults((*job, Job("b", 1)), {**ranks, "b": [2]}, spares={"a": [2, 3, 10, 11]})[0]


def test_running_jobs_stay_or_move_at_their_cost() -> None:
    jobs = (Job("a", 2), Job("b", 2, movable=True, move_cost=3.0))
    running = {"a": np.array([0, 1]), "b": np.array([2, 3])}
    assert faults(jobs, {"a": [0, 1], "b": [2, 3]}, running=running) == []
    assert faults(jobs, {"a": [0, 1], "b": [4, 5]}, running=running) == []
    assert "may not move and is moved" in faults(jobs, {"a": [4, 5], "b": [2, 3]}, running=running)[0]
    assert "runs and is left out" in faults(jobs, {"a": [0, 1]}, running=running)[0]
    problem = Problem(FABRIC, EMPTY, jobs, running=running)
    stays = Placement({"a": np.array([0, 1]), "b": np.array([3, 2])})
    moved = Placement({"a": np.array([0, 1]), "b": np.array([2, 4])})
    assert evaluate(problem, stays)["moves"] == 0  # other ranks on the same accelerators are no move
    assert evaluate(problem, moved)["moves"] == 2 * 3.0


def test_problem_refuses_running_jobs_that_cannot_be() -> None:
    with pytest.raises(InputError, match="a running job is none of the batch"):
        Problem(FABRIC, EMPTY, (Job("a", 1),), running={"b": np.array([0])})
    with pytest.raises(InputError, match="not free for it"):
        Problem(FABRIC, EMPTY, (Job("a", 1), Job("b", 1)), running={"a": np.array([0]), "b": np.array([0])})
    with pytest.raises(InputError, match="other accelerators than it asks for"):
        Problem(FABRIC, EMPTY, (Job("a", 2),), running={"a": np.array([0, 0])})


def test_degraded_links_slow_down_what_crosses_them() -> None:
    """A ring over two leaves: with half the uplink of leaf0 left it takes twice as long, alone as well."""
    jobs = (Job("a", 4, traffic=RING),)
    ring = Placement({"a": np.array([0, 1, 4, 5])})
    up = int(np.flatnonzero(FABRIC.link_source == FABRIC.node_idx("leaf0"))[-1])
    times = [
        evaluate(Problem(FABRIC, state, jobs), ring).congestion.isolated.time_s[0]
        for state in (EMPTY, EMPTY.with_degraded([up], 0.5))
    ]
    assert FABRIC.node_names[int(FABRIC.link_target[up])] == "spine0"
    assert times[1] == pytest.approx(2 * times[0])


def test_stranded_accelerators_by_hand() -> None:
    """Sizes 1 and 2 are expected alike: h0 with one free strands it for size 2, so half of it; h1 strands nothing."""
    state = EMPTY.with_accelerators(np.r_[0, 4:16], Availability.TAKEN)
    problem = Problem(FABRIC, state, (Job("a", 1), Job("b", 2)))
    assert evaluate(problem, Placement())["stranded_accelerators"] == pytest.approx(0.5)
    assert evaluate(problem, Placement({"a": np.array([1])}))["stranded_accelerators"] == 0
    assert evaluate(problem, Placement({"a": np.array([2])}))["stranded_accelerators"] == pytest.approx(1.0)


def test_deadlines_count_the_slow_down() -> None:
    job = Job("a", 4, traffic=RING, duration_s=10.0, deadline_s=15.0)
    other = Job("b", 4, traffic=RING)
    alone = Placement({"a": np.array([0, 1, 4, 5])})
    beside = Placement({"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 6, 7])})
    problem = Problem(FABRIC, EMPTY, (job, other))
    assert evaluate(problem, alone)["missed_deadlines"] == 0
    assert evaluate(problem, beside)["missed_deadlines"] == 1  # both rings share the uplink: 20 s


def test_group_spread_by_hand() -> None:
    """Two replicas of two stages, one accelerator each. Ranks: replica × 2 + stage."""
    job = Job("a", 4, pipeline=2)
    problem = Problem(FABRIC, EMPTY, (job,))
    lines_apart = Placement({"a": np.array([0, 1, 8, 9])})  # each replica in a pod: PP spread 1, DP spread 2
    stages_apart = Placement({"a": np.array([0, 8, 1, 9])})  # each stage in a pod: PP spread 2, DP spread 1
    mixed = Placement({"a": np.array([0, 8, 9, 1])})  # both spread over 2
    assert evaluate(problem, lines_apart)["max_group_spread"] == pytest.approx(1.5)
    assert evaluate(problem, stages_apart)["max_group_spread"] == pytest.approx(1.5)
    assert evaluate(problem, mixed)["max_group_spread"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("profiles", "fits"),
    [
        (["7g.80gb"], True),
        (["4g.40gb", "3g.40gb"], True),
        (["4g.40gb", "4g.40gb"], False),  # eight compute slices of seven
        (["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"], True),
        (["1g.10gb"] * 7, True),
        (["1g.10gb"] * 8, False),
        (["1g.20gb"] * 4, True),
        (["1g.20gb"] * 4 + ["1g.10gb"], False),  # nine memory slices of eight
        (["2g.20gb"] * 3 + ["1g.20gb"], True),
    ],
)
def test_mig_profiles_as_nvidia_lays_them(profiles: list[str], fits: bool) -> None:
    slices = [mig_slices(mig_profile(name), 80e9) for name in profiles]
    assert mig_fits([s for s in slices if s is not None]) is fits


def test_mig_profiles_belong_to_their_accelerator() -> None:
    assert mig_slices(mig_profile("3g.71gb"), 141e9) == (3, 4)
    assert mig_slices(mig_profile("1g.23gb"), 180e9) == (1, 1)
    assert mig_slices(mig_profile("3g.20gb"), 80e9) is None
    with pytest.raises(InputError, match="no such MIG profile"):
        Job("a", 1, mig_profile="half")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"share_frac": 0.0}, "share_frac out of range"),
        ({"share_frac": 0.5, "exclusive": True}, "parts of accelerators cannot have this too; found: exclusive"),
        ({"domain_group": 3}, "multiple of domain_group"),
        ({"segment_hosts": 2}, "give accelerators_per_host too"),
        ({"accelerators_per_host": 2, "segment_hosts": 2}, "hosts must be a multiple of segment_hosts; found: 1 and 2"),
        ({"isolation": "host"}, "isolation needs a tenant"),
        ({"isolation": "rack", "tenant": "x"}, "no such isolation"),
        ({"accelerators_per_host": 1, "spare_hosts": 1, "spare_reach": "host"}, "held by leaf or pod"),
        ({"kinds": ("a",), "preferred_kinds": ("b",)}, "preferred kinds must be among"),
        ({"deadline_s": -1.0}, "deadline_s must be above 0"),
    ],
)
def test_a_job_refuses_rules_that_contradict(rules: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Job("j", 2, **rules)


def test_labels_must_agree_how_far_they_reach() -> None:
    jobs = (Job("a", 1, anti_affinity="x"), Job("b", 1, anti_affinity="x", anti_affinity_reach="pod"))
    with pytest.raises(InputError, match="must agree how far it reaches"):
        Problem(FABRIC, EMPTY, jobs)

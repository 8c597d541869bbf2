r"""Advice worked out by hand, and confirmed by solvers on random problems.

spine0        spine1        two pods of two leaves of two hosts, two accelerators a host
/    \        /    \
leaf0 leaf1   leaf2 leaf3
h0 h1 h2 h3   h4 h5 h6 h7
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.advice import Remedy, Why, advisor_names, get_advisor
from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Refusal
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from solvers.advisors.calm import calm
from solvers.advisors.defrag import defrag, ordered_steps
from solvers.advisors.live import LiveCluster
from solvers.advisors.slots import slots
from solvers.advisors.why import why
from solvers.inventory import Inventory
from solvers.room import could_fit
from tests.solvers.tiny_problems import FABRICS, RING, placements, random_problem
from topologies.errors import InfeasibleError, InputError

FABRIC = FABRICS[False]
EMPTY = ClusterState.empty(FABRIC)


def ask(job: Job, state: ClusterState, others: dict[str, list[int]] | None = None, *more: Job) -> Why:
    placement = Placement({job_id: np.array(a) for job_id, a in (others or {}).items()})
    return why(Problem(FABRIC, state, (job, *more)), placement, job.id)


def test_advisors_are_found_by_name() -> None:
    assert advisor_names() == ("calm", "defrag", "live", "slots", "why")
    assert get_advisor("why") is why
    with pytest.raises(InputError, match="no such advisor"):
        get_advisor("oracle")


def test_why_names_a_drained_host_and_a_limit() -> None:
    """h1 is drained, one of h3 and all of h5, h6 taken: no leaf has two whole hosts left."""
    state = EMPTY.with_hosts(FABRIC, ["h1"], Availability.DRAINED).with_hosts(FABRIC, ["h5", "h6"], Availability.TAKEN)
    state = state.with_taken(FABRIC, "h3", 1)
    job = Job("a", 4, accelerators_per_host=2, max_leaf_groups=1)
    answer = ask(job, state)
    assert not answer.fits
    families = {obstacle.families for obstacle in answer.obstacles}
    assert {("drained",), ("max_leaf_groups",), ("occupied",)} <= families
    assert "leaf group with most room has 2" in answer.obstacles[0].text
    by_family = {remedy.text for remedy in answer.remedies}
    assert "drained h1 back would free it" in by_family
    assert "with max_leaf_groups 2 it would fit" in by_family
    assert "a needs 2 hosts with 2 free on at most 1 leaf group" in answer.text


def test_why_names_the_job_to_move() -> None:
    """b holds one accelerator of leaf0; it would do as well on leaf3, the only other room."""
    state = EMPTY.with_accelerators(np.r_[4:15], Availability.TAKEN)
    answer = ask(Job("a", 4, max_leaf_groups=1), state, {"b": [0]}, Job("b", 1))
    assert [remedy.job_ids for remedy in answer.remedies if remedy.job_ids] == [("b",)]
    assert "moving b (1 host, cost 1) would free it" in answer.text


def test_why_finds_pairs() -> None:
    """Of every host one half is taken and the other drained, and the job wants hosts to itself: any two help."""
    state = EMPTY.with_accelerators(np.arange(0, 16, 2), Availability.TAKEN)
    state = state.with_accelerators(np.arange(1, 16, 2), Availability.DRAINED)
    answer = ask(Job("a", 1, exclusive=True), state)
    found = {obstacle.families for obstacle in answer.obstacles}
    assert found == {("exclusive", "drained"), ("exclusive", "occupied"), ("drained", "occupied")}


def test_why_says_that_a_job_fits() -> None:
    assert ask(Job("a", 4), EMPTY).fits


@pytest.mark.parametrize("seed", range(30))
def test_room_is_exact(seed: int) -> None:
    """For one job alone, counts say the same as every placement tried."""
    problem = random_problem(np.random.default_rng(10_000 + seed))
    job = problem.jobs[0]
    alone = replace(problem, jobs=(job,))
    exists = any(len(placement) for placement in placements(alone))
    assert could_fit(Inventory(alone), job) is exists, job


@pytest.mark.parametrize("block", range(4))
def test_every_verdict_of_why_is_confirmed_by_solving(block: int) -> None:
    """Beside the others where they are, cp-sat places no job that does not fit; with each remedy it places it."""
    refused = told = 0
    for seed in range(20_000 + block * 12, 20_000 + (block + 1) * 12):
        problem = random_problem(np.random.default_rng(seed))
        now = get_solver("best-fit").solve(problem, time_limit_s=2, seed=1).placement
        for job_id in sorted({job.id for job in problem.jobs} - set(now)):
            answer = why(problem, now, job_id)
            assert not answer.fits
            assert not _solved(problem, now, job_id, Remedy(""))
            assert answer.obstacles
            refused += 1
            for remedy in answer.remedies:
                told += 1
                assert _solved(problem, now, job_id, remedy), (seed, remedy)
    assert refused >= 5
    assert told >= refused


def _solved(problem: Problem, now: Placement, job_id: str, remedy: Remedy) -> bool:
    """Tell whether cp-sat places a job with a remedy, beside those that stay as they are."""
    stay = {other: ranks for other, ranks in now.ranks.items() if other not in remedy.job_ids}
    state = problem.state.with_hosts(problem.fabric, remedy.hosts, Availability.FREE)
    job = problem.jobs[problem.job_idx[job_id]]
    wanted = {*stay, job_id, *remedy.job_ids} - set(remedy.ended)
    jobs = [replace(job, **dict(remedy.changes)), *(other for other in problem.jobs if other.id != job_id)]
    held = np.concatenate([*(now.spares.get(other, np.empty(0, np.int64)) for other in stay), np.empty(0, np.int64)])
    jobs = [replace(j, spare_hosts=0) if j.id in stay else j for j in jobs if j.id in wanted]
    asked = Problem(problem.fabric, state.with_accelerators(held, Availability.RESERVED), tuple(jobs), running=stay)
    return set(get_solver("cp-sat").solve(asked, time_limit_s=2, seed=1).placement) == wanted


def test_why_ends_the_smallest_and_brings_back_the_fewest() -> None:
    """Two whole hosts are wanted in one leaf. leaf0: a (four) ends, or leaf1: b and c (two each), with no place left.

    leaf2 and leaf3: a host each of strangers, one each drained.
    """
    state = EMPTY.with_hosts(FABRIC, ["h4", "h6"], Availability.TAKEN)
    state = state.with_hosts(FABRIC, ["h5", "h7"], Availability.DRAINED)
    job = Job("new", 4, accelerators_per_host=2, max_leaf_groups=1)
    here = {"a": [0, 1, 2, 3], "b": [4, 5], "c": [6, 7]}
    answer = ask(job, state, here, Job("a", 4), Job("b", 2), Job("c", 2))
    found = {obstacle.families: remedy for obstacle, remedy in zip(answer.obstacles, answer.remedies, strict=False)}
    assert found["occupied",].text == "ending a (2 hosts) would free it"
    assert found["occupied",].ended == ("a",)
    assert ("max_leaf_groups", "drained") in {obstacle.families for obstacle in answer.obstacles}
    assert any(
        r.text == "with no max_leaf_groups and drained h5, h7 back it would fit" and r.hosts == ("h5", "h7")
        for r in answer.remedies
    )


def test_slots_by_hand() -> None:
    """h0 has one left, h1 to h3 two, pod 1 nothing."""
    state = EMPTY.with_accelerators(np.r_[0, 8:16], Availability.TAKEN)
    problem = Problem(FABRIC, state, ())
    shapes = [Job("one", 1), Job("host", 2, accelerators_per_host=2), Job("leaf", 3, max_leaf_groups=1), Job("big", 8)]
    found = {slot.shape: (slot.found, slot.bound) for slot in slots(problem, Placement(), shapes[:3])}
    assert found == {"one": (7, 7), "host": (3, 3), "leaf": (2, 2)}
    assert slots(problem, Placement(), shapes[3:])[0].found == 0


def test_defrag_moves_the_cheapest_job() -> None:
    """A leaf of four is wanted. leaf0 holds a (one, dear), leaf1 holds b (one, cheap), pod 1 has two left."""
    state = EMPTY.with_accelerators(np.r_[8:14], Availability.TAKEN)
    jobs = (Job("a", 1, movable=True, move_cost=5), Job("b", 1, movable=True, move_cost=2))
    placement = Placement({"a": np.array([0]), "b": np.array([4])})
    plan = defrag(Problem(FABRIC, state, jobs), placement, Job("new", 4, max_leaf_groups=1), time_limit_s=3)
    assert plan.cost == plan.bound == 2
    assert [(step.job_id, step.action) for step in plan.steps] == [("b", "move"), ("new", "start")]
    assert sorted(plan.placement.ranks["new"].tolist()) == [4, 5, 6, 7]
    assert plan.placement.ranks["a"].tolist() == [0]
    assert plan.after["moves"] == 2


def test_defrag_says_when_nothing_helps() -> None:
    jobs = (Job("a", 1),)  # may not move
    problem = Problem(FABRIC, EMPTY.with_accelerators(np.r_[4:16], Availability.TAKEN), jobs)
    with pytest.raises(InfeasibleError, match="no moves that make room were found"):
        defrag(problem, Placement({"a": np.array([0])}), Job("new", 4), time_limit_s=1)


def test_calm_moves_one_job_out_of_the_way() -> None:
    """a and b cross from leaf0 to leaf1 and halve each other; b, the cheaper one, fits into pod 1 alone."""
    jobs = (
        Job("a", 4, traffic=RING, movable=True, move_cost=2.0),
        Job("b", 4, traffic=RING, movable=True),
        Job("c", 2, movable=True),
    )
    placement = Placement({"a": np.array([0, 1, 4, 5]), "b": np.array([2, 3, 6, 7]), "c": np.array([8, 9])})
    plan = calm(Problem(FABRIC, EMPTY, jobs), placement, cut_frac=1.0, time_limit_s=5)
    assert plan.before["excess_slowdown"] == pytest.approx(2.0, rel=1e-2)
    assert plan.after["excess_slowdown"] == pytest.approx(0.0, abs=1e-9)
    assert [(step.job_id, step.action) for step in plan.steps] == [("b", "move")]
    assert plan.cost == 4
    with pytest.raises(InfeasibleError, match="no moves that cut the slow-down as much"):
        calm(Problem(FABRIC, EMPTY, tuple(replace(job, movable=False) for job in jobs)), placement, cut_frac=0.5)


def test_steps_never_hold_an_accelerator_twice() -> None:
    """Two jobs change places: one has to stop first."""
    before = Placement({"a": np.array([0, 1]), "b": np.array([2])})
    after = Placement({"a": np.array([2, 3]), "b": np.array([0]), "c": np.array([1])})
    held: set[int] = {0, 1, 2}
    actions = []
    for step in ordered_steps(before, after):
        held -= set(step.source.tolist())
        assert not held & set(step.target.tolist())
        held |= set(step.target.tolist())
        actions.append((step.job_id, step.action))
    assert held == {2, 3, 0, 1}
    assert actions == [("b", "stop"), ("a", "move"), ("b", "start"), ("c", "start")]


@st.composite
def two_placements(draw: st.DrawFn) -> tuple[Placement, Placement]:
    """Draw where jobs are and where they go: every job keeps its size, and some start in the end."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    num = sum(sizes) + draw(st.integers(0, 3))
    cuts = np.cumsum(sizes)[:-1]

    def placed(order: list[int]) -> dict[str, np.ndarray]:
        return {f"j{i}": part for i, part in enumerate(np.split(np.array(order[: sum(sizes)]), cuts))}

    before, after = (placed(draw(st.permutations(range(num)))) for _ in range(2))
    num_new = draw(st.integers(0, len(sizes) - 1))
    return Placement({i: a for i, a in before.items() if int(i[1:]) >= num_new}), Placement(after)


@given(two_placements())
def test_no_order_of_moves_ever_double_books(placements_: tuple[Placement, Placement]) -> None:
    """Played step by step, each step takes only what is free, and the end is the placement that was planned."""
    before, after = placements_
    now = {job_id: set(ranks.tolist()) for job_id, ranks in before.ranks.items()}
    for step in ordered_steps(before, after):
        assert set(step.source.tolist()) == now.pop(step.job_id, set())
        if step.action == "stop":
            continue
        target = set(step.target.tolist())
        assert not any(target & held for held in now.values())
        now[step.job_id] = target
    assert now == {job_id: set(ranks.tolist()) for job_id, ranks in after.ranks.items()}


def test_live_cluster_places_ends_and_patches() -> None:
    jobs = (Job("a", 4, accelerators_per_host=2), Job("b", 2, same_domain=True), Job("c", 20 - 8))
    live = LiveCluster(Problem(FABRIC, EMPTY, jobs))
    ranks = live.place("a")
    assert not isinstance(ranks, Refusal)
    assert FABRIC.accelerator_host[ranks].tolist() == [0, 0, 1, 1]
    live.place("b")
    assert isinstance(live.place("c"), Refusal)
    before = live.placement.ranks["a"]
    patched = live.replace_host("a", "h1")
    assert patched[:2].tolist() == before[:2].tolist()
    assert set(FABRIC.accelerator_host[patched].tolist()) & {1} == set()
    live.placement.check(live.problem)
    live.end("b")
    live.end("a")
    assert isinstance(live.place("c"), np.ndarray)
    assert 1 not in FABRIC.accelerator_host[live.placement.ranks["c"]]  # the failed host stays out
    with pytest.raises(InputError, match="the job does not run"):
        live.end("a")


def test_live_cluster_takes_a_spare_host_first() -> None:
    jobs = (Job("a", 2, accelerators_per_host=2, spare_hosts=1, spare_reach="pod"),)
    live = LiveCluster(Problem(FABRIC, EMPTY, jobs))
    live.place("a")
    spare = set(FABRIC.accelerator_host[live.placement.spares["a"]].tolist())
    host = FABRIC.host_names[int(FABRIC.accelerator_host[live.placement.ranks["a"][0]])]
    assert set(FABRIC.accelerator_host[live.replace_host("a", host)].tolist()) == spare

"""The join of the Slurm side with the planner's solvers."""

from __future__ import annotations

import numpy as np
import pytest

from planner.slurm.batch import BatchRequest
from planner.slurm.read_site import parse_nodes
from planner.slurm.records import SlurmTopology
from planner.slurm.room import Ask, Room, build_room
from planner.slurm.slurm_fabric import fabric_of_room
from planner.slurm.solver_plan import SolverPlan
from tests.planner.slurm.driver import Driver
from tests.planner.slurm.fake_slurm import FakeSlurm
from topologies.errors import InputError
from topologies.fabric import LinkKind


def room_of(slurm: FakeSlurm) -> Room:
    snapshot = slurm.snapshot()
    return build_room(snapshot.nodes, snapshot.topology)


def ask(room: Room, ref: str, nodes: int, *, gpus: int = 8, **values: object) -> Ask:
    everywhere = np.ones(len(room.hosts), np.bool_)
    return Ask(ref, 0, nodes, gpus, 1, 0, values.pop("whole", False), everywhere, **values)  # type: ignore[arg-type]


def test_the_fabric_of_a_tree() -> None:
    """2 leaves of 2 hosts of 8 GPUs under a core, oversubscribed 2:1: an uplink carries 16 × 400 / 2 Gb/s."""
    fabric = fabric_of_room(room_of(FakeSlurm(num_nodes=4, per_leaf=2)), oversubscription=2.0)
    assert (fabric.num_hosts, fabric.num_accelerators, fabric.num_leaf_groups) == (4, 32, 2)
    assert [fabric.host_names[i] for i in range(4)] == ["gpu0001", "gpu0002", "gpu0003", "gpu0004"]
    up = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_tier == 2)
    assert fabric.link_capacity_bytes_per_s[up].tolist() == [16 * 400e9 / 8 / 2] * 4
    assert "oversubscribed 2:1" in " ".join(fabric.assumptions)


def test_the_fabric_of_blocks_and_of_no_topology_at_all() -> None:
    blocks = fabric_of_room(room_of(FakeSlurm(num_nodes=8, block_size=2, version="26.05.3")))
    assert blocks.num_leaf_groups == 4
    flat = fabric_of_room(build_room(FakeSlurm(num_nodes=3).snapshot().nodes, _flat()))
    assert (flat.num_hosts, flat.num_leaf_groups) == (3, 1)
    mixed = parse_nodes("NodeName=a Gres=gpu:4 State=IDLE\nNodeName=b State=IDLE\nNodeName=c Gres=gpu:8 State=IDLE\n")
    assert fabric_of_room(build_room(mixed, _flat())).host_num_accelerators.tolist() == [4, 1, 8]


def _flat() -> SlurmTopology:
    return SlurmTopology("flat")


def test_the_solver_mends_a_poor_start() -> None:
    """Two jobs of 2 on two leaves of 2, both started across; there is a plan in which neither crosses."""
    room = room_of(FakeSlurm(num_nodes=4, per_leaf=2))
    asks = [ask(room, "1", 2), ask(room, "2", 2)]
    start = {asks[0].key: np.array([0, 2]), asks[1].key: np.array([1, 3])}
    request = BatchRequest(asks, start, {}, room, None, 5.0, 0)
    answer = SolverPlan("cp-sat").plan(request)
    assert [len(set(room.leaf[answer.placed[a.key]])) for a in asks] == [1, 1]
    assert answer.figures["crossing_jobs"] == 0
    assert answer.figures["status"] == "optimal"


def test_barred_hosts_whole_nodes_and_small_jobs_are_respected() -> None:
    slurm = FakeSlurm(num_nodes=8, per_leaf=4)
    slurm.run_on(["gpu0001"], gpus=4)
    room = room_of(slurm)
    whole, small, barred = ask(room, "1", 2, whole=True), ask(room, "2", 2, gpus=4), ask(room, "3", 2)
    start = {whole.key: np.array([1, 4]), small.key: np.array([0, 5]), barred.key: np.array([6, 7])}
    forbidden = {barred.key: np.arange(8) < 6}
    answer = SolverPlan("cp-sat").plan(BatchRequest([whole, small, barred], start, forbidden, room, None, 5.0, 0))
    assert sorted(answer.placed[barred.key]) == [6, 7]
    assert 0 not in answer.placed[whole.key]
    assert not set(answer.placed[whole.key]) & set(answer.placed[small.key])


def test_a_good_start_needs_no_solver() -> None:
    room = room_of(FakeSlurm())
    one = ask(room, "1", 4)
    answer = SolverPlan("cp-sat").plan(BatchRequest([one], {one.key: np.arange(4)}, {}, room, None, 5.0, 0))
    assert answer.figures == {"solver": "leaf-fit", "status": "optimal", "crossing_jobs": 0}


def test_a_fabric_that_does_not_know_the_hosts_is_an_error_and_the_start_is_kept() -> None:
    room = room_of(FakeSlurm())
    one = ask(room, "1", 6)
    other = fabric_of_room(room_of(FakeSlurm(num_nodes=4)))
    request = BatchRequest([one], {one.key: np.array([0, 4, 8, 12, 1, 5])}, {}, room, other, 1.0, 0)
    with pytest.raises(InputError, match="does not know a host"):
        SolverPlan("cp-sat").plan(request)


def test_there_is_no_solver_of_that_name() -> None:
    with pytest.raises(InputError, match="no such solver"):
        SolverPlan("magic")


def test_a_batch_through_the_whole_cycle() -> None:
    slurm = FakeSlurm(num_nodes=16)
    for host in ("gpu0001", "gpu0005", "gpu0009", "gpu0013"):
        slurm.run_on([host])
    driver = Driver(slurm, planner=SolverPlan("cp-sat"), plan_budget_s=1.0)
    jobs = [slurm.submit(n) for n in (4, 4, 4)]
    outcome = driver.cycle()
    assert outcome.figures["solver"] == "cp-sat"
    assert "solver_refused" not in outcome.figures
    slurm.tick()
    assert [job.state for job in jobs] == ["RUNNING"] * 3
    assert [len(job.placed) for job in jobs] == [4] * 3


def test_the_solver_knows_what_runs_beside() -> None:
    """Leaves of 4, oversubscribed 4:1. A running job crosses leaves 0 and 1; of the leaves for a job of 6, 2 and 3 are
    free of rings, and the start shares the uplink of leaf 1."""
    room = room_of(FakeSlurm())
    six = ask(room, "1", 6)
    running = np.array([0, 4])
    taken = room.take([ask(room, "9", 2).taken(running, 0.0)])
    start = {six.key: np.array([5, 6, 7, 8, 9, 10])}
    plan = SolverPlan("cp-sat", oversubscription=4.0)
    answer = plan.plan(BatchRequest([six], start, {}, taken, None, 5.0, 0, running=[("9", running, 8)]))
    assert set(taken.leaf[answer.placed[six.key]].tolist()) == {2, 3}
    assert answer.figures["worst_slowdown_beside_running"] == 1.0


def test_what_cannot_be_better_is_told_without_a_solver() -> None:
    """Leaves of 4: a job of 6 needs two; beside another crossing job it may be bettered."""
    room = room_of(FakeSlurm())
    six, two = ask(room, "1", 6), ask(room, "2", 2)
    plan = SolverPlan("cp-sat")
    alone = BatchRequest([six], {six.key: np.arange(6)}, {}, room, None, 1.0, 0)
    assert plan.plan(alone).figures["solver"] == "leaf-fit"
    apart = {six.key: np.arange(6), two.key: np.array([6, 8])}
    assert plan.plan(BatchRequest([six, two], apart, {}, room, None, 1.0, 0)).figures["solver"] == "cp-sat"
    beside = [("9", np.array([6, 8]), 8)]
    taken = room.take([two.taken(np.array([6, 8]), 0.0)])
    crowded = BatchRequest([six], {six.key: np.arange(6)}, {}, taken, None, 1.0, 0, running=beside)
    assert plan.plan(crowded).figures["solver"] == "cp-sat"

"""Best fit by leaf and admission: worked examples, and what must hold for any queue."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.slurm.admission import admit
from planner.slurm.leaf_fit import fit, why_not
from planner.slurm.load import leaf_loads
from planner.slurm.room import Ask, Room, build_room
from tests.planner.slurm.fake_slurm import FakeSlurm


def room_with(taken: dict[int, int], *, nodes: int = 16, per_leaf: int = 4) -> Room:
    """A room in which so many hosts of each leaf are taken."""
    slurm = FakeSlurm(num_nodes=nodes, per_leaf=per_leaf)
    for leaf, count in taken.items():
        slurm.run_on(slurm.names[leaf * per_leaf : leaf * per_leaf + count])
    snapshot = slurm.snapshot()
    return build_room(snapshot.nodes, snapshot.topology)


def ask(room: Room, nodes: int, ref: str = "1", *, limit_s: float = 60.0, **values: object) -> Ask:
    return Ask(ref, 0, nodes, 8, 1, 0, False, np.ones(len(room.hosts), np.bool_), limit_s, **values)  # type: ignore[arg-type]


def leaves_of(room: Room, hosts: np.ndarray | None) -> list[int]:
    assert hosts is not None
    return sorted(set(room.leaf[hosts].tolist()))


def test_the_fullest_leaf_that_holds_a_job_takes_it() -> None:
    room = room_with({0: 1, 1: 2, 2: 3})  # 3, 2, 1, 4 free
    assert [leaves_of(room, fit(ask(room, n), room)) for n in (1, 2, 3, 4)] == [[2], [1], [0], [3]]


def test_a_job_too_large_for_a_leaf_fills_large_leaves_and_ends_in_the_smallest_that_holds_the_rest() -> None:
    room = room_with({0: 1, 1: 2, 2: 3})
    assert leaves_of(room, fit(ask(room, 5), room)) == [2, 3]
    assert leaves_of(room, fit(ask(room, 6), room)) == [1, 3]
    assert leaves_of(room, fit(ask(room, 10), room)) == [0, 1, 2, 3]
    assert fit(ask(room, 11), room) is None
    assert why_not(ask(room, 11), room) == "needs 11 nodes with 8 free GPUs; 10 of 16 are so now"


def test_of_equal_leaves_those_with_fewer_rings_are_taken() -> None:
    room = room_with({}).with_rings([np.array([0, 4])])
    assert leaves_of(room, fit(ask(room, 6), room)) == [2, 3]


def test_limits_on_leaves_are_kept() -> None:
    room = room_with({0: 2, 1: 2, 2: 2, 3: 2})
    assert fit(ask(room, 4, max_leaves=1), room) is None
    assert "within 1 leaf switches" in why_not(ask(room, 4, max_leaves=1), room)
    assert len(leaves_of(room, fit(ask(room, 4, max_leaves=2), room))) == 2


def test_rings_that_leave_a_leaf() -> None:
    """Hosts of leaves 0 0 1 1: the ring leaves each once; in the order 0 1 0 1 it leaves each twice."""
    room = room_with({})
    assert leaf_loads(room, [np.array([0, 1, 4, 5])]).tolist() == [1, 1, 0, 0]
    assert leaf_loads(room, [np.array([0, 4, 1, 5])]).tolist() == [2, 2, 0, 0]
    assert leaf_loads(room, [np.array([0, 1, 2])]).tolist() == [0, 0, 0, 0]


_jobs = st.lists(st.tuples(st.integers(1, 20), st.sampled_from([30.0, 600.0, float("inf")])), min_size=1, max_size=12)


@given(_jobs, st.dictionaries(st.integers(0, 3), st.integers(0, 4)))
def test_what_is_admitted_fits_together_and_keeps_every_promise(
    jobs: list[tuple[int, float]], taken: dict[int, int]
) -> None:
    room = room_with(taken)
    asks = [ask(room, nodes, str(i), limit_s=limit_s) for i, (nodes, limit_s) in enumerate(jobs)]
    holders = np.flatnonzero(~room.is_idle)
    running = [ask(room, len(holders), "r", limit_s=100.0).taken(holders, 0.0)] if len(holders) else []
    result = admit(asks, room, running, 0.0)
    hosts = np.concatenate([*result.placed.values(), np.empty(0, np.int64)])
    assert len(hosts) == len(np.unique(hosts))
    assert not set(hosts.tolist()) & set(holders.tolist())
    assert result.placed.keys() | result.waiting.keys() == {one.key for one in asks}
    assert not result.placed.keys() & result.waiting.keys()
    for one in asks:
        if one.key in result.placed:
            assert len(result.placed[one.key]) == one.num_nodes
    for promise in result.promises:
        behind = [one for one in asks if int(one.ref) > int(promise.ref) and one.key in result.placed]
        for one in behind:
            ends_late = one.time_limit_s > promise.start_s
            assert not (ends_late and set(result.placed[one.key].tolist()) & set(promise.hosts.tolist()))


@given(st.integers(1, 16), st.dictionaries(st.integers(0, 3), st.integers(0, 4)))
def test_a_job_is_placed_exactly_when_enough_hosts_are_free_and_in_one_leaf_when_one_holds_it(
    nodes: int, taken: dict[int, int]
) -> None:
    room = room_with(taken)
    hosts = fit(ask(room, nodes), room)
    assert (hosts is not None) == (int(room.is_idle.sum()) >= nodes)
    if hosts is not None:
        free = np.bincount(room.leaf[room.is_idle], minlength=4)
        assert (len(leaves_of(room, hosts)) == 1) == bool((free >= nodes).any())

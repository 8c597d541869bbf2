"""Congestion between jobs of a replay: four hosts of two accelerators, two a leaf, one 400G uplink a leaf.

    spine0
    /    \\
 leaf0  leaf1
 h0 h1  h2 h3
"""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.replay.engine import replay
from planner.replay.metrics import Metrics
from planner.replay.on_fabric import pool_of, ranks_of
from planner.replay.pool import Ask, Grant
from planner.replay.rules import Rules
from planner.replay.running import Running
from planner.replay.scheduler import get_scheduler
from planner.replay.stretch import Congestion
from planner.state import Availability, ClusterState
from planner.traces.trace import TraceJob
from tests.planner.files_for_cli import FABRIC
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric


@pytest.fixture
def fabric(tmp_path: Path) -> Fabric:
    (tmp_path / "f.yaml").write_text(FABRIC)
    return load_fabric(str(tmp_path / "f.yaml"))


def running(number: int, *hosts: int) -> Running:
    job = TraceJob(f"j{number}", 0, 100, 2 * len(hosts))
    return Running(number, job, [Grant(h, (0, 1), Ask(2)) for h in hosts], 0, 100, 0)


def test_two_jobs_over_one_uplink_and_one_alone_again(fabric: Fabric) -> None:
    congestion = Congestion(fabric, communicate_frac=0.9999)
    first, second, near = running(0, 0, 2), running(1, 1, 3), running(2, 0)
    assert congestion.changed({0: first}, [first], []) == {}
    assert congestion.changed({0: first, 2: near}, [near], []) == {}  # in one leaf group: meets nobody
    assert congestion.num_scored == 0
    found = congestion.changed({0: first, 1: second, 2: near}, [second], [])
    # One ring each, all its edges at one rate: the shared uplink leaves half to each, and they always communicate.
    assert found == pytest.approx({0: 2.0, 1: 2.0}, rel=2e-3)
    assert congestion.changed({1: second}, [], [first]) == {1: 1.0}


def test_jobs_that_communicate_less_meet_less(fabric: Fabric) -> None:
    slow = []
    for part in (0.1, 0.5, 0.9):
        first, second = running(0, 0, 2), running(1, 1, 3)
        slow.append(Congestion(fabric, communicate_frac=part).changed({0: first, 1: second}, [first, second], [])[0])
    assert 1 < slow[0] < slow[1] < slow[2]


def test_a_replay_is_stretched_and_useful_time_is_not(fabric: Fabric) -> None:
    pool = pool_of(fabric)
    metrics = Metrics(pool)
    jobs = [TraceJob("h0", 0, 500, 2), TraceJob("x", 0, 100, 4), TraceJob("h3", 0, 500, 2)]
    replay(pool, jobs, get_scheduler("first-fit"), Rules(), (metrics,), stretch=Congestion(fabric))
    assert metrics.summary().useful_frac == metrics.summary().allocated_frac  # one crosses alone: nobody is met
    wide = load_wide(fabric)
    assert wide.summary().useful_frac < wide.summary().allocated_frac


def load_wide(fabric: Fabric) -> Metrics:
    """Two jobs that both cross: one host of each leaf is taken by hand."""
    pool = pool_of(fabric)
    metrics = Metrics(pool)

    class Crossing:
        name = "crossing"

        def prepare(self, *_: object, **__: object) -> None: ...

        def choose(self, pool: object, asks: object) -> list[Grant]:
            self.count = getattr(self, "count", -1) + 1
            return [Grant(self.count, (0, 1), Ask(2)), Grant(self.count + 2, (0, 1), Ask(2))]

    jobs = [TraceJob("a", 0, 100, 4), TraceJob("b", 0, 100, 4)]
    replay(pool, jobs, Crossing(), Rules(), (metrics,), stretch=Congestion(fabric))
    return metrics


def test_ranks_go_leaf_by_leaf(fabric: Fabric) -> None:
    grants = [Grant(host, (0, 1), Ask(2)) for host in (2, 0, 3)]
    assert ranks_of(fabric, grants).tolist() == [0, 1, 4, 5, 6, 7]


def test_hosts_that_are_not_free_take_no_part(fabric: Fabric) -> None:
    state = ClusterState.empty(fabric).with_hosts(fabric, ["h1"], Availability.DRAINED)
    assert pool_of(fabric, state).is_up.tolist() == [True, False, True, True]
    everything = ClusterState.empty(fabric).with_hosts(fabric, ["h0", "h1", "h2", "h3"], Availability.TAKEN)
    with pytest.raises(InputError, match="no host"):
        pool_of(fabric, everything)


def test_a_part_of_the_time_is_a_part(fabric: Fabric) -> None:
    with pytest.raises(InputError, match="communicates"):
        Congestion(fabric, communicate_frac=1.0)

"""Park, plan, pin on a Slurm in memory.

Four leaves of four hosts, unless said otherwise:

    leaf0: gpu0001-0004   leaf1: gpu0005-0008   leaf2: gpu0009-0012   leaf3: gpu0013-0016
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.slurm.batch import BatchAnswer, BatchRequest
from planner.slurm.reader import SnapshotReader, with_starts
from planner.slurm.renewal import renew
from tests.planner.slurm.driver import Driver
from tests.planner.slurm.fake_slurm import FakeSlurm


def leaves(slurm: FakeSlurm, hosts: tuple[str, ...]) -> int:
    return len({slurm.leaf(host) for host in hosts})


def test_a_batch_is_pinned_and_runs_where_it_was_planned() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    jobs = [slurm.submit(n) for n in (4, 4, 3, 2)]
    outcome = driver.cycle()
    assert len(outcome.pins) == 4
    slurm.tick()
    assert [job.state for job in jobs] == ["RUNNING"] * 4
    assert [leaves(slurm, job.placed) for job in jobs] == [1, 1, 1, 1]
    driver.cycle()
    assert [driver.actions(job.number) for job in jobs] == [["pin", "pinned", "ran"]] * 4
    assert {d.reason for d in driver.decisions if d.action == "ran"} == {"on the planned hosts"}
    for job in jobs:
        slurm.end(job)
    driver.cycle()
    assert driver.live == {}


def test_nothing_is_pinned_twice_while_slurm_takes_its_time() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn(times=5)
    assert len(job.updates) == 1
    slurm.deaf = False
    driver.turn(times=2)
    assert driver.actions(job.number) == ["pin", "pinned", "ran"]


def test_a_job_that_starts_and_ends_between_two_looks_is_in_the_journal_with_its_hosts() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    slurm.end(job)
    outcome = driver.cycle()
    [tracked] = outcome.tracked.values()
    assert (tracked.state, tracked.starts, tracked.ran_on) == ("done", 1, tuple(sorted(job.placed)))
    assert driver.actions(job.number) == ["pin", "pinned", "ran", "ended"]
    assert driver.decisions[-1].reason == "Slurm says COMPLETED"
    assert driver.decisions[-1].figures == {"started_s": job.start_s, "ended_s": job.end_s}
    assert driver.live == {}


@pytest.mark.parametrize("left", [0, 1])
def test_the_nodes_of_a_completing_job_are_those_not_given_back_and_not_where_it_ran(left: int) -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    placed = job.placed
    job.state, job.placed = "COMPLETING", placed[:left]
    driver.cycle()
    assert "ran" not in driver.actions(job.number)
    job.placed = placed
    slurm.end(job)
    [tracked] = driver.cycle().tracked.values()
    assert (tracked.hosts, tracked.ran_on, tracked.starts) == (placed, placed, 1)
    assert driver.actions(job.number) == ["pin", "pinned", "ran", "ended"]


def test_what_slurm_forgot_is_not_made_up() -> None:
    slurm = FakeSlurm(min_job_age_s=10)
    driver = Driver(slurm)
    seen, unseen = slurm.submit(4), slurm.submit(4)
    driver.turn(times=2)
    slurm.end(seen)
    driver.live[str(unseen.number)] = replace(driver.live[str(unseen.number)], state="pinned", ran_on=(), starts=0)
    slurm.end(unseen)
    slurm.now_s += 60
    driver.cycle()
    assert driver.actions(seen.number)[-1] == "ended"
    assert driver.actions(unseen.number)[-1] == "gone"


def test_the_accounting_tells_what_became_of_jobs_while_the_daemon_was_down() -> None:
    """Planned jobs ended more than MinJobAge ago; at its first look a new daemon asks sacct, once."""
    slurm = FakeSlurm(min_job_age_s=10, accounting="accounting_storage/slurmdbd")
    driver = Driver(slurm)
    planned, cancelled = slurm.submit(4), slurm.submit(2)
    driver.turn()
    slurm.end(planned)
    cancelled.state, cancelled.placed, cancelled.end_s = "CANCELLED by 1000", (), slurm.now_s
    slurm.now_s += 60
    reader = SnapshotReader(slurm)
    snapshot = reader.read(driver.live)
    assert snapshot.ended[str(planned.number)].nodes == tuple(sorted(planned.placed))
    outcome = driver.planner.run(replace(snapshot, now_s=slurm.now_s), driver.live)
    found = {ref: (job.state, job.ran_on) for ref, job in outcome.tracked.items()}
    assert found == {"1": ("done", tuple(sorted(planned.placed))), "2": ("done", ())}
    assert reader.read(driver.live).ended == {}
    slurm.accounting = "accounting_storage/none"
    assert SnapshotReader(slurm).read(driver.live).ended == {}


def test_a_cancelled_job_never_ran() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    job.state, job.end_s = "CANCELLED", slurm.now_s
    driver.cycle()
    assert driver.actions(job.number) == ["pin", "ended"]
    assert "never started" in driver.reasons(job.number)


def test_a_pin_that_came_too_late_is_no_plan() -> None:
    """Slurm starts the job by itself before scontrol reaches it: the journal says so, whatever hosts it got."""
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.cycle(send=False)
    slurm.tick(slurm.park_s + 1)
    assert job.state == "RUNNING"
    driver.cycle()
    assert driver.actions(job.number) == ["pin", "released", "ran"]
    assert "before a pin reached Slurm" in driver.reasons(job.number)
    tracked = driver.live[str(job.number)]
    assert (tracked.state, tracked.hosts, tracked.ran_on) == ("released", (), tuple(sorted(job.placed)))
    count = len(job.updates)
    slurm.end(job)
    driver.turn(times=3)
    assert driver.live == {}
    assert len(job.updates) == count


def test_a_job_that_started_while_its_pin_was_being_taken_off_ran_as_planned() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(2)
    driver.turn()
    first = driver.live[str(job.number)].hosts
    driver.live[str(job.number)] = replace(driver.live[str(job.number)], state="parked", hosts=())
    driver.cycle()
    tracked = driver.live[str(job.number)]
    assert (tracked.state, set(tracked.hosts)) == ("running", set(first))
    assert driver.actions(job.number) == ["pin", "pinned", "ran"]


def test_nodes_of_a_job_that_started_between_two_questions_are_not_free() -> None:
    slurm = FakeSlurm(num_nodes=4)
    before = slurm.snapshot().nodes
    slurm.run_on(["gpu0002", "gpu0003"], gpus=6)
    slurm.now_s += 10
    slurm.run_on(["gpu0003"], gpus=1)
    jobs = slurm.snapshot().jobs
    counted = with_starts(before, jobs, since_s=slurm.now_s - 5)
    assert [node.gpus_free for node in counted] == [8, 8, 1, 8]  # the older job is counted where a new one is
    assert [node.is_idle for node in counted] == [True, True, False, True]
    assert [node.gpus_free for node in with_starts(before, jobs, since_s=slurm.now_s - 15)] == [8, 2, 1, 8]
    assert with_starts(before, jobs, since_s=slurm.now_s + 1) == tuple(before)


@pytest.mark.parametrize("renewing", [False, True])
def test_no_job_is_pinned_when_its_parked_time_is_nearly_over(renewing: bool) -> None:
    """A second before Slurm may start it: with the renewal before the plan it is pinned, else it is renewed instead."""
    slurm = FakeSlurm()
    driver = Driver(slurm)
    blocker = slurm.run_on(slurm.names)
    job = slurm.submit(4)
    driver.cycle()
    slurm.end(blocker)
    slurm.now_s += slurm.park_s - 1
    outcome = driver.cycle(renewing=renewing)
    assert job.begin_s == (slurm.now_s if renewing else slurm.now_s + slurm.park_s)
    assert len(outcome.pins) == renewing
    driver.turn(times=2)
    assert job.state == "RUNNING"
    assert driver.live[str(job.number)].state == "running"


def test_renewals_come_before_the_plan_and_only_where_they_are_due() -> None:
    slurm = FakeSlurm(num_nodes=4)
    driver = Driver(slurm)
    slurm.run_on(slurm.names)
    early, late = slurm.submit(2), slurm.submit(2)
    driver.cycle()
    early.begin_s = slurm.now_s + 3
    settings = driver.planner.settings
    lines, after = renew(slurm.snapshot(), driver.live, settings, ahead_s=0)
    assert lines == [f"update JobId={early.number} StartTime=now+{slurm.park_s}"]
    assert {job.job_id: job.start_s for job in after.jobs if job.is_pending} == {
        early.number: slurm.now_s + slurm.park_s,
        late.number: late.begin_s,
    }
    lines, _ = renew(slurm.snapshot(), driver.live, settings, ahead_s=60)
    assert len(lines) == 1  # one that has all its time left is not renewed, however long a cycle takes
    assert renew(slurm.snapshot(), {}, settings, ahead_s=60)[0] == []  # what the journal does not know is not ours


def test_a_job_slurm_moved_is_noted() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(2)
    driver.turn(times=2)
    job.placed = ("gpu0015", "gpu0016")
    driver.cycle()
    tracked = driver.live[str(job.number)]
    assert (tracked.ran_on, tracked.starts) == (("gpu0015", "gpu0016"), 2)


def test_a_pin_that_never_arrived_is_planned_again_and_only_then() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.slurm.now_s += 10  # past the time in which an old scontrol may still be at work
    driver.cycle(send=False)
    driver.turn()
    assert driver.actions(job.number) == ["pin", "repair", "pin"]
    assert job.state == "RUNNING"


def test_a_new_daemon_waits_for_an_old_scontrol_before_it_plans_again() -> None:
    slurm = FakeSlurm()
    old = Driver(slurm)
    job = slurm.submit(4)
    old.cycle(send=False)  # killed here: its scontrol may still be at work
    slurm.now_s += 1
    new = Driver(slurm)
    new.live = dict(old.live)
    assert new.cycle().pins == []
    slurm.now_s += 4
    assert len(new.cycle().pins) == 1
    slurm.tick()
    assert job.state == "RUNNING"


def test_a_planned_host_that_goes_down_is_replaced_in_the_next_cycle() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    slurm.down[job.required[0]] = "IDLE+DRAIN"
    slurm.deaf = False
    driver.turn()
    assert job.state == "RUNNING"
    assert not set(job.placed) & set(slurm.down)
    assert driver.actions(job.number) == ["pin", "pinned", "repair", "pin"]


def test_a_planned_host_that_gets_busy_is_replaced() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    slurm.run_on(job.required[:1])
    slurm.deaf = False
    driver.turn(times=2)
    assert job.state == "RUNNING"


def test_after_max_tries_a_job_is_slurms_and_never_touched_again() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm, max_tries=3)
    job = slurm.submit(4)
    for _ in range(3):
        driver.turn()
        job.reason = "ReqNodeNotAvail"
    driver.turn(times=2)
    assert job.required == ()
    assert job.begin_s <= slurm.now_s
    count = len(job.updates)
    driver.turn(times=5)
    assert len(job.updates) == count
    assert driver.released() == {job.number}
    slurm.deaf = False
    slurm.tick()
    assert job.state == "RUNNING"


def test_hosts_slurm_refuses_for_a_reason_of_its_own_are_not_tried_again_at_once() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    first = set(job.required)
    job.reason = "ReqNodeNotAvail"
    driver.turn()
    assert len(job.required) == 4
    assert not set(job.required) & first


def test_a_job_held_back_by_a_limit_of_slurm_does_not_block_its_hosts() -> None:
    slurm = FakeSlurm(deaf=True, num_nodes=4)
    driver = Driver(slurm)
    job = slurm.submit(4, priority=2000)
    driver.turn()
    job.reason = "QOSMaxNodePerUserLimit"
    other = slurm.submit(4)
    driver.turn(times=2)
    assert job.required == ()
    assert "QOSMaxNodePerUserLimit" in driver.reasons(job.number)
    assert other.required != ()


def test_a_pinned_job_slurm_does_not_start_is_handed_over_after_the_grace() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm, start_grace_s=10)
    job = slurm.submit(4)
    driver.turn(times=13)
    assert job.required == ()
    assert "not started in 10 s" in driver.reasons(job.number)


def test_jobs_that_wait_stay_parked_and_are_renewed_in_time() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    blocker = slurm.run_on(slurm.names)
    job = slurm.submit(4)
    for _ in range(60):
        driver.turn()
        assert job.begin_s > slurm.now_s  # never handed to Slurm while the planner lives
        assert job.begin_s <= slurm.now_s + slurm.park_s  # and never parked for longer than PARK_S
    assert len(job.updates) <= 60 / (slurm.park_s / 2) + 1
    slurm.end(blocker)
    driver.turn(times=2)
    assert job.state == "RUNNING"


def test_no_job_is_parked_for_ever() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm, max_parked_s=30)
    slurm.run_on(slurm.names)
    job = slurm.submit(4)
    driver.turn(times=40)
    assert driver.released() == {job.number}
    assert job.begin_s <= slurm.now_s


def test_the_top_job_is_not_delayed_by_those_behind_it() -> None:
    """8 of 16 hosts are taken for 60 minutes; the top job needs 12. A short job may go first, a long one may use only
    what the top job will leave."""
    slurm = FakeSlurm()
    driver = Driver(slurm)
    blocker = slurm.run_on(slurm.names[:8], limit_min=60)
    top = slurm.submit(12, priority=3000)
    long = slurm.submit(8, priority=2000, limit_min=600)
    short = slurm.submit(4, priority=1000, limit_min=30)
    narrow = slurm.submit(4, priority=900, limit_min=600)
    driver.turn(times=2)
    assert (top.state, long.state, short.state) == ("PENDING", "PENDING", "RUNNING")
    assert narrow.state == "RUNNING"  # 16 − 12 = 4 hosts are not promised to the top job
    assert f"would delay job {top.number}" in driver.reasons(long.number)
    slurm.tick(30 * 60)
    slurm.end(short)
    slurm.end(blocker)
    driver.turn(times=3)
    assert top.state == "RUNNING"


def test_a_job_passed_over_rises() -> None:
    """Two hosts are always taken by new short jobs of higher priority; the big job still starts."""
    slurm = FakeSlurm(num_nodes=4)
    driver = Driver(slurm)
    first = slurm.run_on(slurm.names[:2], limit_min=10)
    big = slurm.submit(4, priority=1000)
    for _ in range(5):
        small = slurm.submit(2, priority=500, limit_min=100)
        driver.turn()
        assert small.state == "PENDING"
    slurm.end(first)
    driver.turn(times=2)
    assert big.state == "RUNNING"


def test_order_is_priority_then_first_come() -> None:
    slurm = FakeSlurm(num_nodes=4)
    driver = Driver(slurm)
    low = slurm.submit(4, priority=100)
    high = slurm.submit(4, priority=200)
    driver.turn()
    assert (low.state, high.state) == ("PENDING", "RUNNING")


def test_a_job_of_slurm_that_waits_for_room_is_not_delayed() -> None:
    """A foreign job of higher priority needs all hosts; ours behind it would outlive the running one."""
    slurm = FakeSlurm(num_nodes=8, deaf=True)
    driver = Driver(slurm)
    slurm.run_on(slurm.names[:4], limit_min=10)
    slurm.submit(8, parked=False, priority=9000, reason="Resources")
    ours = slurm.submit(4, priority=100, limit_min=600)
    quick = slurm.submit(4, priority=50, limit_min=5)
    driver.turn()
    assert ours.required == ()
    assert quick.required != ()


def test_reservations_drained_and_mixed_nodes() -> None:
    slurm = FakeSlurm()
    now = int(slurm.now_s)
    slurm.reservations = f"ReservationName=r StartTime={now + 600} EndTime={now + 9000} Nodes=gpu[0001-0004]\n"
    slurm.down |= {"gpu0005": "IDLE+DRAIN", "gpu0006": "DOWN*"}
    slurm.run_on(["gpu0009"], gpus=4)
    driver = Driver(slurm)
    long = slurm.submit(4, limit_min=60, gpus=8)
    part = slurm.submit(4, limit_min=60, gpus=4)
    short = slurm.submit(4, limit_min=5)
    driver.turn()
    assert set(long.placed) == {"gpu0013", "gpu0014", "gpu0015", "gpu0016"}
    assert set(part.placed) == {"gpu0009", "gpu0010", "gpu0011", "gpu0012"}
    assert set(short.placed) == {"gpu0001", "gpu0002", "gpu0003", "gpu0004"}


def test_what_cannot_be_planned_goes_to_slurm_at_once() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    ranged = slurm.submit(4, features="a|b")
    off = slurm.submit(4, comment="scaleplan: off")
    driver.turn(times=2)
    assert ranged.state == off.state == "RUNNING"
    assert "feature" in driver.reasons(ranged.number)


def test_changes_by_the_user_are_respected() -> None:
    slurm = FakeSlurm(deaf=True)
    driver = Driver(slurm)
    moved, pinned = slurm.submit(2), slurm.submit(2)
    moved.begin_s = slurm.now_s + 86400
    driver.turn()
    pinned.required = ("gpu0001", "gpu0002", "gpu0003")
    driver.turn(times=3)
    assert moved.updates == []
    assert len(pinned.updates) == 1
    assert driver.released() == {moved.number, pinned.number}


def test_the_clock_steps_back_and_forth() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    blocker = slurm.run_on(slurm.names)
    job = slurm.submit(4)
    driver.turn()
    slurm.now_s -= 3600  # its begin time is now an hour and more away
    slurm.end(blocker)
    driver.turn(times=2)
    assert job.state == "RUNNING"
    second = slurm.submit(4)
    driver.cycle(send=False)
    slurm.now_s += 7200  # its begin time is long past: Slurm starts it
    slurm.tick()
    assert second.state == "RUNNING"
    driver.turn(times=2)
    tracked = driver.live[str(second.number)]
    assert (tracked.state, tracked.hosts, tracked.ran_on) == ("released", (), tuple(sorted(second.placed)))


def test_a_requeued_job_is_planned_anew() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn(times=2)
    slurm.down[job.placed[0]] = "DOWN*"
    job.state, job.placed, job.begin_s, job.reason = "PENDING", (), slurm.now_s + 2, "BeginTime"
    driver.turn(times=2)
    assert job.state == "RUNNING"
    assert not set(job.placed) & set(slurm.down)
    assert "requeued" in driver.actions(job.number)


def test_observe_touches_nothing() -> None:
    slurm = FakeSlurm()
    driver = Driver(slurm, mode="observe")
    waiting = slurm.submit(4, parked=False, reason="Resources")
    driver.turn(times=3)
    assert waiting.updates == []
    assert driver.cycle().lines == []


def test_observe_lets_go_of_what_was_parked_before() -> None:
    slurm = FakeSlurm()
    job = slurm.submit(4)
    driver = Driver(slurm, mode="observe")
    driver.turn(times=2)
    assert job.state == "RUNNING"
    assert job.required == ()


def test_prefer_asks_softly() -> None:
    slurm = FakeSlurm(deaf=True)
    slurm.features = {host: f"gpu,leaf{slurm.leaf(host)}" for host in slurm.names}
    driver = Driver(slurm, mode="prefer")
    job = slurm.submit(4)
    driver.turn()
    assert job.required == ()
    assert job.prefer.startswith("leaf")
    assert job.switches == "1@10"
    assert job.begin_s <= slurm.now_s


def test_pins_found_without_a_journal_are_adopted_not_made_again() -> None:
    slurm = FakeSlurm(deaf=True)
    job = slurm.submit(4)
    Driver(slurm).turn()
    fresh = Driver(slurm)
    fresh.turn(times=3)
    assert len(job.updates) == 1
    assert fresh.live[str(job.number)].state == "pinned"


@pytest.mark.parametrize("version", ["23.11.4", "24.05.1", "25.05.0", "25.11.0", "26.05.3"])
def test_block_plans_are_ones_slurm_accepts(version: str) -> None:
    """Blocks of 4; two hosts of each are taken, so a job of 4 fits no block; with segments of 2 it does."""
    slurm = FakeSlurm(num_nodes=32, version=version, block_size=4)
    for block in range(4):
        slurm.run_on(slurm.names[block * 4 : block * 4 + 2])
    for block in range(4, 8):
        slurm.run_on(slurm.names[block * 4 : block * 4 + 4])
    driver = Driver(slurm)
    whole = slurm.submit(4)
    halves = slurm.submit(4, segment=2, priority=900)
    scattered = slurm.submit(2, segment=1, priority=800, limit_min=5)
    driver.turn(times=3)
    assert whole.state == "PENDING"
    assert whole.required == ()
    assert "not in blocks" in driver.reasons(whole.number)
    assert halves.state == scattered.state == "RUNNING"
    assert all("BadConstraints" not in decision.reason for decision in driver.decisions)


@pytest.mark.parametrize(("own", "runs"), [("", False), ("blocks", False), ("tree", True)])
def test_a_partition_with_a_tree_of_its_own_takes_any_hosts(own: str, runs: bool) -> None:
    """Blocks of 4 with one host free in each: a job of 4 starts only where the partition has a tree beside them."""
    slurm = FakeSlurm(num_nodes=16, version="25.05.3", block_size=4, partition_topology=own)
    for block in range(4):
        slurm.run_on(slurm.names[block * 4 : block * 4 + 3])
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn(times=2)
    assert (job.state == "RUNNING") is runs
    assert not any("BadConstraints" in decision.reason for decision in driver.decisions)


def test_a_partition_with_blocks_beside_the_tree_is_left_to_slurm() -> None:
    slurm = FakeSlurm(version="25.05.3", partition_topology="blocks")
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.turn()
    assert job.required == ()
    assert "topology/block of its own" in driver.reasons(job.number)


def test_a_job_above_a_block_takes_as_few_blocks_as_slurm_wants() -> None:
    slurm = FakeSlurm(num_nodes=16, version="26.05.3", block_size=4)
    slurm.run_on(["gpu0001"])
    driver = Driver(slurm)
    job = slurm.submit(6)
    driver.turn()
    assert job.state == "RUNNING"
    assert leaves(slurm, job.placed) == 2


def test_a_pin_that_block_refuses_is_repaired_or_released_within_two_cycles() -> None:
    slurm = FakeSlurm(num_nodes=16, version="24.05.1", block_size=4)
    driver = Driver(slurm)
    job = slurm.submit(4)
    driver.cycle()
    job.required = ("gpu0001", "gpu0005", "gpu0009", "gpu0013")
    driver.live[str(job.number)] = replace(driver.live[str(job.number)], hosts=job.required)
    slurm.tick()
    assert (job.reason, job.priority) == ("BadConstraints", 0)
    job.updates.clear()
    driver.turn(times=2)
    assert job.state == "RUNNING" or job.required == ()
    driver.turn(times=3)
    assert job.state == "RUNNING"


def test_exclusive_is_read_as_each_release_tells_it() -> None:
    for version in ("22.05.8", "26.05.3"):
        slurm = FakeSlurm(num_nodes=4, version=version)
        slurm.run_on(["gpu0001"], gpus=1)
        driver = Driver(slurm)
        alone = slurm.submit(4, gpus=1, exclusive=True, priority=5)
        shared = slurm.submit(4, gpus=1, priority=4, limit_min=1)
        driver.turn()
        assert (alone.required, shared.state) == ((), "RUNNING")


class _Broken:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def plan(self, request: BatchRequest) -> BatchAnswer:
        key = request.asks[0].key
        answers = {
            "nothing": {},
            "too few": {key: request.start[key][:1]},
            "twice": {key: np.array([0, 0, 0, 0])},
            "taken": {key: np.array([0, 1, 2, 3])},
        }
        return BatchAnswer(answers[self.answer])


@pytest.mark.parametrize("answer", ["nothing", "too few", "twice", "taken"])
def test_an_answer_that_does_not_fit_is_not_carried_out(answer: str) -> None:
    slurm = FakeSlurm()
    slurm.run_on(["gpu0001"])
    driver = Driver(slurm, planner=_Broken(answer))
    job = slurm.submit(4)
    outcome = driver.cycle()
    assert "solver_refused" in outcome.figures
    slurm.tick()
    assert job.state == "RUNNING"
    assert "gpu0001" not in job.placed


@pytest.mark.parametrize("patience_s", [0, 5])
def test_patience_waits_for_fewer_leaves_but_not_for_ever(patience_s: int) -> None:
    """Two hosts free on each of two leaves: a job of 4 crosses, or waits five seconds for a leaf."""
    slurm = FakeSlurm(num_nodes=8)
    left = slurm.run_on(["gpu0001", "gpu0002"])
    slurm.run_on(["gpu0005", "gpu0006"])
    driver = Driver(slurm, patience_s=patience_s)
    job = slurm.submit(4)
    small = slurm.submit(2)
    driver.turn()
    assert job.state == ("RUNNING" if patience_s == 0 else "PENDING")
    assert small.state == ("PENDING" if patience_s == 0 else "RUNNING")
    if patience_s:
        slurm.end(small)
        slurm.end(left)
        driver.turn(times=2)
        assert leaves(slurm, job.placed) == 1
        slurm.end(job)
        slurm.run_on(["gpu0001", "gpu0002"])
        late = slurm.submit(4)
        driver.turn(times=5)
        assert late.state == "PENDING"
        driver.turn(times=3)
        assert leaves(slurm, late.placed) == 2

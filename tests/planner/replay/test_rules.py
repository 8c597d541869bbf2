"""Rules of a cluster, each on hosts of two accelerators and followed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from planner.replay.engine import replay
from planner.replay.metrics import Metrics
from planner.replay.outages import Reliability, draw_part_outages, rolling_drains
from planner.replay.pool import HostPool
from planner.replay.rules import Reservation, Rules
from planner.replay.running import Instant, Running
from planner.replay.scheduler import get_scheduler
from planner.replay.serving_pools import ServingPool, demand_of
from planner.replay.sizing import Kind, Sizing, less_needed
from planner.traces.trace import TraceJob
from topologies.errors import InputError
from topologies.files.fabric_file import load_fabric


class Log:
    """Notes who starts and ends when, and on which hosts."""

    def __init__(self) -> None:
        self.starts: dict[str, list[float]] = {}
        self.hosts: dict[str, set[int]] = {}
        self.ends: dict[str, list[tuple[float, str]]] = {}

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        self.starts.setdefault(run.job.id, []).append(now_s)
        self.hosts[run.job.id] = {grant.host for grant in run.grants}

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        self.ends.setdefault(run.job.id, []).append((now_s, outcome))

    def settled(self, now_s: float, now: Instant) -> None: ...

    def refused(self, now_s: float, job: TraceJob, why: str) -> None: ...

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None: ...


def play(hosts: int, jobs: Sequence[TraceJob], rules: Rules, leaf: Sequence[int] | None = None) -> tuple[Log, Metrics]:
    pool = HostPool([2] * hosts, leaf=0 if leaf is None else leaf)
    log, metrics = Log(), Metrics(pool, keep_moments=True)
    replay(pool, jobs, get_scheduler("first-fit"), rules, (log, metrics))
    return log, metrics


def job(id: str, submit_s: float, duration_s: float, gpus: int, tenant: str = "") -> TraceJob:
    return TraceJob(id, submit_s, duration_s, gpus, tenant=tenant)


def test_tenants_never_share_a_host() -> None:
    jobs = [job("a", 0, 10, 1, "x"), job("b", 1, 10, 1, "y"), job("c", 2, 10, 1, "x"), job("d", 3, 5, 1, "z")]
    log, metrics = play(2, jobs, Rules(isolation="host", backfill="any"))
    assert log.hosts == {"a": {0}, "b": {1}, "c": {0}, "d": {1}}
    assert log.starts["d"] == [11]  # one accelerator beside b stands idle from 3 to 11, kept from z
    assert sum(m.idle["isolation"] for m in metrics.moments if m.time_s == 3) == 1


def test_a_reservation_keeps_others_off_and_lets_short_jobs_pass() -> None:
    kept = Reservation("y", (0,), 10, 20)
    jobs = [
        job("short", 0, 10, 2, "x"),
        job("long", 0, 15, 2, "x"),
        job("late", 1, 8, 2, "x"),
        job("own", 12, 4, 2, "y"),
    ]
    log, metrics = play(2, jobs, Rules(reservations=(kept,), backfill="any"))
    # short ends as the reservation begins, long has to go to host 1, late waits for it until 15, own has host 0.
    assert log.hosts == {"short": {0}, "long": {1}, "late": {1}, "own": {0}}
    assert log.starts == {"short": [0], "long": [0], "late": [15], "own": [12]}
    assert next(m.idle["reserved"] for m in metrics.moments if m.time_s == 10) == 2


def test_a_gang_that_fits_under_one_leaf_goes_nowhere_else() -> None:
    jobs = [job("a", 0, 10, 2), job("b", 1, 10, 4)]  # a on the first of two leaves with two hosts each
    log, _ = play(4, jobs, Rules(spread="leaf"), leaf=[0, 0, 1, 1])
    assert log.hosts["b"] == {2, 3}
    jobs = [job("a", 0, 10, 2), job("b", 0, 5, 4), job("c", 1, 10, 4)]
    log, metrics = play(4, jobs, Rules(spread="leaf"), leaf=[0, 1, 0, 1])  # a on 0, b on 1 and 3
    assert log.hosts["b"] == {1, 3}
    assert log.starts["c"] == [5]
    assert metrics.summary().idle_frac["gang"] > 0
    # Two hosts are free, one under each leaf: enough of them, but not together.
    jobs = [job("a", 0, 10, 2), job("d", 0, 9, 2), job("e", 0, 4, 2), job("c", 5, 1, 4)]
    log, metrics = play(4, jobs, Rules(spread="leaf"), leaf=[0, 0, 1, 1])
    assert log.hosts["c"] == {2, 3}
    jobs = [job("a", 0, 10, 2), job("d", 0, 4, 2), job("e", 0, 9, 2), job("c", 5, 1, 4)]
    log, metrics = play(4, jobs, Rules(spread="leaf"), leaf=[0, 0, 1, 1])
    assert log.starts["c"] == [9]
    assert next(m.idle["spread"] for m in metrics.moments if m.time_s == 5) == 4


def test_launching_holds_without_working() -> None:
    log, metrics = play(1, [job("a", 0, 10, 2), job("b", 1, 5, 2)], Rules(launch_s=3))
    assert log.starts == {"a": [0], "b": [13]}
    assert log.ends == {"a": [(13, "done")], "b": [(21, "done")]}
    found = metrics.summary()
    assert found.idle_frac["launching"] == pytest.approx(6 / 21)
    assert found.working_frac == pytest.approx(15 / 21)
    assert found.allocated_frac == pytest.approx(1)


def test_a_job_that_does_not_come_up_holds_until_the_time_is_up_and_waits_again() -> None:
    rules = Rules(never_launch_frac=0.999_999, launch_timeout_s=7)
    log, metrics = play(1, [job("a", 0, 10, 2)], rules)
    assert log.starts == {"a": [0, 7]}
    assert log.ends == {"a": [(7, "never-launched"), (17, "done")]}
    assert metrics.summary().idle_frac["launching"] == pytest.approx(7 / 17)
    assert metrics.summary().never_launched == 1


def test_a_gang_that_holds_what_it_gets_strands_it() -> None:
    # b needs both hosts and takes the free one at 1; it lets go at 6, tries again at 11, and has both at 12.
    jobs = [job("a", 0, 12, 2), job("b", 1, 5, 4)]
    log, metrics = play(2, jobs, Rules(gang_hold_s=5, backfill="none"))
    assert log.starts == {"a": [0], "b": [12]}
    held = {m.time_s: m.idle["gang-held"] for m in metrics.moments}
    assert (held[1], held[6], held[11], held[12]) == (2, 0, 2, 0)


def test_replicas_follow_demand_late_and_go_after_the_cool_down() -> None:
    """Demand 1 from 0, 2 from 100, 0 from 200: a replica serves 10 s after it came and goes 50 s after it is idle."""
    pool = ServingPool("chat", 2, 2, ((0, 1), (100, 2), (200, 0)), tenant="web", lag_s=10, cooldown_s=50)
    log, metrics = play(3, [job("a", 0, 400, 2)], Rules(pools=(pool,)))
    assert log.starts == {"chat/1": [0], "a": [0], "chat/2": [100]}
    assert log.ends["chat/1"] == [(250, "done")]
    assert log.ends["chat/2"] == [(250, "done")]
    (told,) = metrics.pools()
    assert told.held_gpu_h * 3600 == pytest.approx(2 * (240 + 140))
    assert told.busy_gpu_h * 3600 == pytest.approx(2 * (190 + 90))
    assert told.short_gpu_h * 3600 == pytest.approx(2 * (10 + 10))
    found = metrics.summary()
    assert found.jobs == 1
    assert found.idle_frac["spare-replica"] == pytest.approx(2 * 2 * 50 / (6 * 400))
    assert found.idle_frac["launching"] == pytest.approx(2 * 2 * 10 / (6 * 400))
    assert metrics.by_tenant["web"].useful_s == pytest.approx(2 * (190 + 90))


def test_demand_is_the_mean_work_of_each_span() -> None:
    assert demand_of([0, 30, 70, 200], [600, 600, 300, 60], work_per_s=10, every_s=60) == (
        (0.0, 2.0), (60, 0.5), (120, 0.0), (180, 0.1), (240, 0.0),
    )  # fmt: skip
    with pytest.raises(InputError):
        demand_of([0], [1], work_per_s=0)


def test_parts_take_their_hosts_out() -> None:
    fabric = load_fabric("dgx-h100-superpod-1su")
    year_s = 365 * 86_400.0
    accelerators = draw_part_outages(fabric, year_s, {"accelerator": Reliability(year_s, 3600)}, seed=1)
    # 31 hosts × 8 accelerators that fail once a year on average.
    assert len(accelerators) == pytest.approx(248, rel=0.25)
    assert {outage.host for outage in accelerators} == set(range(31))
    leaf = draw_part_outages(fabric, year_s, {"leaf": Reliability(year_s, 3600)}, seed=3)
    assert len({outage.start_s for outage in leaf}) * 31 == len(leaf)  # every host hangs on every one of eight leaves
    assert draw_part_outages(fabric, year_s, seed=2) == draw_part_outages(fabric, year_s, seed=2)
    with pytest.raises(InputError, match="no such part"):
        draw_part_outages(fabric, 1.0, {"fan": Reliability(1, 1)}, seed=1)


def test_maintenance_goes_round() -> None:
    drains = rolling_drains(4, 100.0, every_s=100, lasts_s=20, at_once=2)
    assert [(d.host, d.start_s, d.end_s, d.is_drain) for d in drains] == [
        (0, 0, 20, True), (1, 0, 20, True), (2, 50, 70, True), (3, 50, 70, True),
    ]  # fmt: skip
    with pytest.raises(InputError, match="does not fit"):
        rolling_drains(4, 100.0, every_s=100, lasts_s=30, at_once=1)


def test_right_sizing_by_hand() -> None:
    """Eight at 20 % do the work of two at 80 %; one at 10 % is an eighth of one, told as 0.2; 80 % stays."""
    used = [(8, 0.2, 2.0), (1, 0.1, 0.2), (4, 0.8, 4.0), (2, None, 2.0)]
    assert [less_needed(TraceJob("a", 0, 1, n, used_frac=u)) for n, u, _ in used] == [need for *_, need in used]
    pool = HostPool([8, 8], models=["fast", "slow"])
    kinds = {"fast": Kind("fast", 1000.0, 80.0, 4.0), "slow": Kind("slow", 500.0, 80.0, 1.0)}
    sizing = Sizing(pool, kinds, 3.0)
    jobs = [
        TraceJob("a", 0, 3600, 8, used_frac=0.2, tenant="x"),  # frees 6 for an hour: 18 $
        TraceJob("b", 3600, 7200, 1, used_frac=0.4, tenant="y", models=("fast", "slow")),
        TraceJob("c", 3600, 7200, 1, used_frac=0.1, tenant="z"),  # 0.2 would do: frees 0.8 for two hours
        TraceJob("d", 3600, 7200, 1, used_frac=0.75, tenant="w"),  # too busy for the slow ones
        TraceJob("e", 3600, 7200, 1, used_frac=0.79, tenant="w"),
    ]
    replay(pool, jobs, get_scheduler("first-fit"), Rules(), (sizing,))
    found = {a.tenant: a for a in sizing.advice(730 * 3600.0, (), ())}
    assert found["x"].kind == "ask-for-less"
    assert (found["x"].gpu_h, found["x"].usd_per_month) == pytest.approx((6, 18))
    assert (found["y"].kind, found["y"].gpu_h) == ("share-an-accelerator", pytest.approx(1.0))
    assert (found["z"].gpu_h, found["z"].usd_per_month) == pytest.approx((1.6, 4.8))
    assert "w" not in found


def test_a_cheaper_kind_that_keeps_up_and_pools_that_share() -> None:
    pool = HostPool([2, 2], models=["fast", "slow"])
    kinds = {"fast": Kind("fast", 1000.0, 80.0, 4.0), "slow": Kind("slow", 900.0, 80.0, 1.0)}
    sizing = Sizing(pool, kinds, 3.0)
    replay(pool, [TraceJob("a", 0, 3600, 2, used_frac=0.7)], get_scheduler("first-fit"), Rules(), (sizing,))
    day = ServingPool("day", 2, 4, ((0, 4), (100, 0)))
    night = ServingPool("night", 2, 4, ((0, 0), (100, 3)))
    shared, cheaper = sizing.advice(3600.0, (day, night), ())
    # 8 and 6 at their peaks, 8 at the peak of both.
    assert (shared.kind, shared.gpu_h) == ("share-pools", pytest.approx(6))
    assert shared.usd_per_month == pytest.approx(6 * 3 * 730)
    assert (cheaper.kind, cheaper.usd_per_month) == ("cheaper-kind", pytest.approx(2 * 3 * 730))

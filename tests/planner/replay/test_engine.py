"""The replay on clusters small enough to follow by hand: two hosts of two accelerators unless said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.replay.engine import replay
from planner.replay.events import EventQueue, Happens
from planner.replay.metrics import Metrics
from planner.replay.pool import Ask, HostPool
from planner.replay.rules import Outage, Reservation, Rules
from planner.replay.running import Instant, Running, asks_of
from planner.replay.scheduler import get_scheduler
from planner.replay.stranded import slots, stranded
from planner.traces.trace import TraceJob
from topologies.errors import InputError


class Diary:
    def __init__(self) -> None:
        self.starts: dict[str, list[float]] = {}
        self.ends: dict[str, float] = {}
        self.refused_jobs: dict[str, str] = {}
        self.outcomes: list[str] = []

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        self.starts.setdefault(run.job.id, []).append(now_s)

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        self.ends[run.job.id] = now_s
        self.outcomes.append(f"{run.job.id} {outcome}")

    def settled(self, now_s: float, now: Instant) -> None:
        assert (now.pool.gpu_left >= 0).all()

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        self.refused_jobs[job.id] = why

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None: ...


def play(jobs: Sequence[TraceJob], rules: Rules | None = None, **more: object) -> Diary:
    diary = Diary()
    replay(HostPool([2, 2]), jobs, get_scheduler("first-fit"), rules or Rules(), (diary,), **more)  # type: ignore[arg-type]
    return diary


def job(id: str, submit_s: float, duration_s: float, gpus: int, **more: object) -> TraceJob:
    return TraceJob(id, submit_s, duration_s, gpus, **more)  # type: ignore[arg-type]


# a holds one host until 10; b needs both; c is short, d long, one accelerator each
LINE = [job("a", 0, 10, 2), job("b", 1, 10, 4), job("c", 2, 5, 1), job("d", 3, 30, 1)]


def test_equal_times_go_by_priority_then_by_sequence() -> None:
    events: EventQueue[str] = EventQueue()
    for what, name in ((Happens.ARRIVE, "x"), (Happens.FINISH, "y"), (Happens.ARRIVE, "z")):
        events.add(5.0, what, name)
    events.add(4.0, Happens.ARRIVE, "w")
    assert [events.pop()[2] for _ in range(4)] == ["w", "y", "x", "z"]
    with pytest.raises(InputError):
        events.add(math.nan, Happens.FINISH, "never")


@pytest.mark.parametrize(
    ("backfill", "starts"),
    [
        ("none", {"a": 0, "b": 10, "c": 20, "d": 20}),
        ("any", {"a": 0, "c": 2, "d": 3, "b": 33}),
        ("easy", {"a": 0, "c": 2, "b": 10, "d": 20}),
        ("conservative", {"a": 0, "c": 2, "b": 10, "d": 20}),
    ],
)
def test_who_may_overtake(backfill: str, starts: dict[str, float]) -> None:
    assert {name: at[0] for name, at in play(LINE, Rules(backfill=backfill)).starts.items()} == starts


def test_shortest_first_and_priority() -> None:
    jobs = [job("a", 0, 10, 4), job("b", 1, 9, 4, priority=1), job("c", 2, 3, 4), job("d", 3, 5, 4, priority=2)]
    for order, names in (("fifo", "abcd"), ("sjf", "acdb"), ("priority", "adbc")):
        assert "".join(play(jobs, Rules(order=order)).starts) == names


def test_room_made_at_an_instant_is_used_at_that_instant() -> None:
    assert play([job("a", 0, 10, 4), job("b", 10, 1, 4)]).starts["b"] == [10]


def test_a_quota_holds_its_tenant_and_nobody_else() -> None:
    jobs = [job("a", 0, 10, 2, tenant="x"), job("b", 1, 10, 1, tenant="x"), job("c", 2, 10, 2, tenant="y")]
    diary = play(jobs, Rules(quotas={"x": 2}))
    assert {name: at[0] for name, at in diary.starts.items()} == {"a": 0, "c": 2, "b": 10}


def test_a_preempted_job_goes_on_from_its_last_checkpoint() -> None:
    jobs = [job("low", 0, 10, 4), job("high", 7, 3, 4, priority=1)]
    diary = play(jobs, Rules(order="priority", can_preempt=True, checkpoint_every_s=4, restart_s=1))
    # 7 s done, 4 s kept, 6 s left and 1 s to start again: 10 + 7.
    assert diary.starts == {"low": [0, 10], "high": [7]}
    assert diary.ends == {"high": 10, "low": 17}


def test_a_failure_stops_what_runs_there_and_a_drain_does_not() -> None:
    fail = play([job("a", 0, 10, 2), job("b", 0, 10, 2)], Rules(outages=(Outage(0, 4, 20),)))
    assert fail.outcomes[0] == "a failed"
    assert fail.starts["a"] == [0, 10]  # on the other host, once b is done; all 4 s were kept
    assert fail.ends["a"] == 16
    drain = play([job("a", 0, 10, 2), job("b", 0, 30, 2), job("c", 5, 1, 2)], Rules(outages=(Outage(0, 4, 20, True),)))
    assert drain.ends["a"] == 10
    assert drain.starts["c"] == [20]


class HalfSpeedTogether:
    """Two jobs at once slow each other down to half."""

    def changed(
        self, running: Mapping[int, Running], started: Sequence[Running], ended: Sequence[Running]
    ) -> Mapping[int, float]:
        return {number: 2.0 if len(running) > 1 else 1.0 for number in running}


def test_work_left_is_kept_while_speeds_change() -> None:
    # a alone 0 to 4 (4 done); together: a needs 12 more until 16, b has done 6 of 8 by then, and ends at 18 alone.
    diary = play([job("a", 0, 10, 2), job("b", 4, 8, 2)], stretch=HalfSpeedTogether())
    assert diary.ends == {"a": 16, "b": 18}


def test_what_can_never_run_is_refused_and_blocks_nobody() -> None:
    jobs = [job("big", 0, 1, 5), job("other", 0, 1, 1, models=("X",)), job("fits", 0, 1, 4)]
    diary = play(jobs)
    assert diary.refused_jobs == {"big": "larger than the cluster", "other": "no host of its kind"}
    assert diary.ends == {"fits": 1}


def test_unsorted_jobs_and_unknown_rules_are_refused() -> None:
    with pytest.raises(InputError, match="sorted"):
        play([job("a", 5, 1, 1), job("b", 4, 1, 1)])
    with pytest.raises(InputError, match="order"):
        play([], Rules(order="lifo"))
    with pytest.raises(InputError, match="backfill"):
        Rules(backfill="some")


def test_idle_accelerators_by_cause() -> None:
    pool = HostPool([4, 4, 4, 2], cpu_milli=[4000] * 4, models=["A", "A", "A", "B"])
    pool.take(pool.grant_on(0, Ask(3, cpu_milli=1000)))
    pool.take(pool.grant_on(1, Ask(0, cpu_milli=3500)))
    causes = stranded(pool, (Ask(2, 1000, 1000, 0, ("A",)),) * 2)
    assert causes["wrong-kind"] == 2
    assert causes["processor"] == 4
    assert causes["fragmented"] == 1
    assert causes["gang"] == 4  # one host would do; the gang needs two
    assert sum(causes.values()) == 11
    assert stranded(pool, None)["no-demand"] == 11
    pool.is_up[2] = False
    assert stranded(pool, None)["down"] == 4


def test_slots_and_what_blocks_the_next() -> None:
    pool = HostPool([8] * 9)
    pool.take(pool.grant_on(0, Ask(1)))
    one, eight, many, more = slots(pool)
    assert (one.free, eight.free, many.free, more.free) == (71, 8, 1, 0)
    # 71 idle: one slot of 64 leaves 7, and those are all on the host that is in use.
    assert many.missing == 7
    assert slots(pool, (66,))[0].blocked_by == "7 idle ones lie on hosts with fewer than 8 free"


def test_a_job_is_split_over_whole_hosts() -> None:
    assert [ask.gpus for ask in asks_of(job("a", 0, 1, 20, cpu_milli=20_000), 8)] == [8, 8, 4]
    assert asks_of(job("a", 0, 1, 20, cpu_milli=20_000), 8)[2].cpu_milli == 4000


def test_figures_by_hand() -> None:
    pool = HostPool([2, 2])
    metrics = Metrics(pool)
    replay(pool, [job("a", 0, 10, 4), job("b", 0, 10, 2)], get_scheduler("first-fit"), Rules(), (metrics,))
    found = metrics.summary()
    assert found.mean_wait_s == 5
    assert found.makespan_s == 20
    assert found.allocated_frac == found.useful_frac == found.goodput_frac == 60 / 80
    assert found.idle_frac["no-demand"] == 20 / 80


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(1, 8), st.sampled_from(["x", "y"])),
        min_size=1,
        max_size=25,
    ),
    order=st.sampled_from(["fifo", "sjf", "priority"]),
    backfill=st.sampled_from(["none", "any", "easy", "conservative"]),
    name=st.sampled_from(["first-fit", "best-fit", "slurm-tree", "fgd"]),
)
def test_every_job_runs_once_and_time_adds_up(
    rows: list[tuple[int, int, int, str]], order: str, backfill: str, name: str
) -> None:
    jobs = [job(f"j{i}", *row[:3], tenant=row[3]) for i, row in enumerate(sorted(rows))]
    pool = HostPool([4, 4])
    diary, metrics = Diary(), Metrics(pool)
    replay(pool, jobs, get_scheduler(name), Rules(order=order, backfill=backfill), (diary, metrics))
    assert diary.ends.keys() == {j.id for j in jobs}
    for j in jobs:
        assert diary.ends[j.id] == diary.starts[j.id][0] + j.duration_s
        assert diary.starts[j.id][0] >= j.submit_s
    assert pool.left.sum() == pool.capacity_milli
    found = metrics.summary()
    assert found.allocated_frac == pytest.approx(found.useful_frac)


class Books:
    """Adds up what launched jobs hold, apart from what the replay counts, and sets both side by side."""

    def __init__(self, pool: HostPool) -> None:
        self.capacity = pool.capacity_milli / 1000
        self.metrics = Metrics(pool, keep_moments=True)
        self.held: dict[int, Running] = {}
        self.num_moments = 0

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        self.metrics.start(now_s, run, waited_since_s)
        self.held[run.number] = run

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        self.metrics.end(now_s, run, outcome)
        del self.held[run.number]

    def settled(self, now_s: float, now: Instant) -> None:
        self.metrics.settled(now_s, now)
        moment = self.metrics.moments[-1]
        works = sum(run.job.accelerators for run in self.held.values() if run.work_s <= now_s)
        assert moment.working == pytest.approx(works, abs=1e-9)
        assert works + sum(moment.idle.values()) == pytest.approx(self.capacity, abs=1e-9)
        assert min(moment.idle.values()) >= 0
        self.num_moments += 1

    def refused(self, now_s: float, job: TraceJob, why: str) -> None: ...

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None: ...


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(1, 8), st.sampled_from(["x", "y"])),
        min_size=1,
        max_size=25,
    ),
    rules=st.builds(
        Rules,
        backfill=st.sampled_from(["none", "any", "easy", "conservative"]),
        isolation=st.sampled_from(["none", "host", "leaf"]),
        spread=st.sampled_from(["any", "leaf", "pod"]),
        launch_s=st.sampled_from([0.0, 3.0]),
        never_launch_frac=st.sampled_from([0.0, 0.3]),
        launch_timeout_s=st.just(7.0),
        gang_hold_s=st.sampled_from([0.0, 5.0]),
        quotas=st.sampled_from([{}, {"x": 5}]),
        can_preempt=st.booleans(),
        outages=st.sampled_from([(), (Outage(1, 4, 20), Outage(2, 5, 9, True))]),
        reservations=st.sampled_from([(), (Reservation("y", (0, 3), 6.0, 30.0),)]),
    ),
)
def test_work_and_idle_by_cause_add_up_at_every_moment(rows: list[tuple[int, int, int, str]], rules: Rules) -> None:
    jobs = [job(f"j{i}", *row[:3], tenant=row[3], priority=row[2] % 3) for i, row in enumerate(sorted(rows))]
    pool = HostPool([2, 2, 2, 2], leaf=[0, 0, 1, 1])
    books = Books(pool)
    replay(pool, jobs, get_scheduler("best-fit"), rules, (books,))
    assert books.num_moments > 0
    assert pool.left.sum() == pool.capacity_milli
    found, line = books.metrics.summary(), books.metrics.timeline()
    assert found.jobs + sum(found.refused.values()) == 0 or len(line.edges_s) == len(line.working) + 1
    if found.makespan_s:
        assert found.working_frac + sum(found.idle_frac.values()) == pytest.approx(1)
    for k, working in enumerate(line.working):
        assert working + sum(cause[k] for cause in line.idle.values()) == pytest.approx(8, abs=1e-4)

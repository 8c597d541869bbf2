"""Batches placed by solvers, running jobs moved together, and backfill, on four hosts of two under two leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from planner.replay.batches import BatchScheduler, Wanted
from planner.replay.by_solver import BatchSolver, SolverScheduler
from planner.replay.engine import replay
from planner.replay.journal import Journal
from planner.replay.metrics import Metrics
from planner.replay.moving import AdvisedMover
from planner.replay.on_fabric import pool_of
from planner.replay.pool import Grant, HostPool
from planner.replay.rules import Rules
from planner.replay.running import Instant, Running
from planner.replay.scheduler import get_scheduler
from planner.replay.site import Site
from planner.replay.study import Setting, fitted, replay_policies
from planner.traces.trace import Trace, TraceJob
from tests.planner.files_for_cli import FABRIC
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric


@pytest.fixture
def fabric(tmp_path: Path) -> Fabric:
    (tmp_path / "f.yaml").write_text(FABRIC)
    return load_fabric(str(tmp_path / "f.yaml"))


class Log:
    def __init__(self) -> None:
        self.starts: list[tuple[str, float]] = []
        self.ends: list[tuple[str, float, str]] = []

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        self.starts.append((run.job.id, now_s))

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        self.ends.append((run.job.id, now_s, outcome))

    def settled(self, now_s: float, now: Instant) -> None: ...

    def refused(self, now_s: float, job: TraceJob, why: str) -> None: ...

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None: ...


def job(id: str, submit_s: float, duration_s: float, gpus: int, **more: object) -> TraceJob:
    return TraceJob(id, submit_s, duration_s, gpus, **more)  # type: ignore[arg-type]


def test_a_batch_waits_for_its_time_and_keeps_the_promise_to_the_head(fabric: Fabric) -> None:
    """8 accelerators. a holds 4 until 100; b wants all; c would delay b, d ends before a does."""
    jobs = [job("a", 0, 100, 4), job("b", 5, 10, 8), job("c", 6, 300, 2), job("d", 7, 60, 2)]
    log = Log()
    scheduler = BatchSolver(fabric, "best-fit", time_limit_s=1.0)
    assert isinstance(scheduler, BatchScheduler)
    replay(pool_of(fabric), jobs, scheduler, Rules(backfill="easy", batch_every_s=20), (log,))
    assert log.starts == [("a", 0), ("d", 20), ("b", 100), ("c", 120)]


class LastFirst:
    """A batch scheduler that is told of all and starts only the last."""

    name = "last-first"

    def __init__(self) -> None:
        self.planner = get_scheduler("first-fit")
        self.told: list[list[int]] = []

    def prepare(self, pool: HostPool, mix: object, *, seed: int) -> None: ...

    def choose(self, pool: HostPool, asks: Sequence[object]) -> list[Grant] | None:
        raise AssertionError("only batches are asked for")

    def choose_batch(
        self, site: Site, wanted: Sequence[Wanted], running: Mapping[int, Running], now_s: float
    ) -> dict[int, list[Grant]]:
        self.told.append([one.number for one in wanted])
        last = wanted[-1]
        site.admit(last.job, now_s)
        found = self.planner.choose(site.pool, last.asks)
        return {} if found is None else {last.number: found}


def test_a_batch_holds_what_may_fit_by_counts_and_quotas() -> None:
    scheduler = LastFirst()
    jobs = [
        job("a", 0, 10, 1, tenant="x"), job("b", 0, 10, 3, tenant="x"), job("c", 0, 10, 4), job("d", 0, 10, 1),
    ]  # fmt: skip
    log = Log()
    replay(HostPool([2, 2]), jobs, scheduler, Rules(backfill="any", quotas={"x": 3}), (log,))
    # b would lift x to 4 of 3; c finds 3 of 4 left after a; d still fits, and is the last of those told of.
    assert scheduler.told[0] == [0, 3]
    assert log.starts[0] == ("d", 0)
    assert {name for name, _ in log.starts} == set("abcd")


def test_a_solver_places_no_part_of_an_accelerator(fabric: Fabric) -> None:
    for scheduler in (SolverScheduler(fabric, "first-fit"), BatchSolver(fabric, "first-fit")):
        with pytest.raises(InputError, match="whole accelerators"):
            replay(pool_of(fabric), [job("a", 0, 1, 1, gpu_milli=500)], scheduler, Rules())


def test_running_jobs_move_together_for_the_first_that_waits(fabric: Fabric) -> None:
    """Three single accelerators on three hosts, one host full: two free ones lie apart, and w wants both on one."""
    jobs = [
        job("full", 0, 500, 2), job("p", 0, 500, 1), job("p1", 0, 20, 1), job("q", 0, 500, 1), job("q1", 0, 20, 1),
        job("r", 0, 500, 1), job("r1", 0, 500, 1), job("w", 30, 10, 2),
    ]  # fmt: skip
    stays = Log()
    replay(pool_of(fabric), jobs, get_scheduler("first-fit"), Rules(), (stays,))
    assert stays.starts[-1] == ("w", 500)
    log, metrics = Log(), Metrics(pool_of(fabric))
    rules = Rules(defrag_every_s=100, move_s=7)
    replay(pool_of(fabric), jobs, get_scheduler("first-fit"), rules, (log, metrics), mover=AdvisedMover(fabric))
    assert log.starts[-1] == ("w", 100)
    (moved,) = [name for name, now_s, outcome in log.ends if outcome == "moved"]
    assert {(name, end) for name, end, outcome in log.ends if outcome == "done" and end > 500} == {(moved, 507)}
    assert metrics.summary().moves == 1


def test_conservative_backfill_delays_nobody_and_easy_only_the_head_not() -> None:
    """4 accelerators. a holds 3 until 10; b wants 4, c 2 for 10 s, d 1 for 40 s.

    d does not end before b starts at 10, and b needs all: both refuse it. Beside b's reservation (10 to 20), c is to
    start at 20. e asks for 1 until 10: everybody lets it pass.
    """
    jobs = [job("a", 0, 10, 3), job("b", 1, 10, 4), job("c", 2, 10, 2), job("d", 3, 40, 3), job("e", 4, 6, 1)]
    for backfill in ("easy", "conservative"):
        log = Log()
        replay(HostPool([4]), jobs, get_scheduler("first-fit"), Rules(backfill=backfill), (log,))
        assert dict(log.starts) == {"a": 0, "e": 4, "b": 10, "c": 20, "d": 30}
    # g is the head, promised all from 10 to 20, then d is promised 3 of 4 from 20. Under EASY f, which is not held to
    # what d was promised, starts as soon as it does not delay g; conservative delays neither.
    jobs = [job("a", 0, 10, 2), job("g", 1, 10, 4), job("d", 2, 10, 3), job("f", 3, 30, 1), job("h", 12, 25, 1)]
    starts = {}
    for backfill in ("easy", "conservative"):
        log = Log()
        replay(HostPool([4]), jobs, get_scheduler("first-fit"), Rules(backfill=backfill), (log,))
        starts[backfill] = dict(log.starts)
    assert starts["easy"]["g"] == starts["conservative"]["g"] == 10
    assert starts["conservative"]["d"] <= starts["easy"]["d"]


def test_a_journal_of_another_run_or_of_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, "one")
    journal.add("placed", {"1": [[0, [1]]]})
    journal.close()
    again = Journal(path, "one")
    assert again.num_known == 1
    assert again.known("placed") == {"1": [[0, [1]]]}
    assert again.known("placed") is None
    again.close()
    again = Journal(path, "one")
    with pytest.raises(InputError, match="does not fit"):
        again.known("score")
    again.close()
    with pytest.raises(InputError, match="another replay"):
        Journal(path, "two")
    path.write_text('{"schema": "scaleplan/replay-journal/1", "of": "one"}\nnonsense\n')
    with pytest.raises(InputError, match="not a journal"):
        Journal(path, "one")


def test_an_interrupt_tells_what_was_found_until_then(fabric: Fabric) -> None:
    trace = Trace((job("a", 0, 100, 4), job("b", 50, 100, 8), job("c", 300, 10, 8)))

    def tick(policy: str, now_s: float) -> None:
        if now_s >= 100:
            raise KeyboardInterrupt

    result = replay_policies(fabric, trace, ["first-fit", "best-fit"], Rules(), Setting(tick=tick))
    (policy,) = result.policies
    assert not policy.finished
    assert policy.summary.jobs == 1
    assert policy.timeline.edges_s[-1] == 100
    assert policy.summary.allocated_frac == pytest.approx(0.5)


def test_mig_jobs_run_side_by_side_on_what_has_their_profile(fabric: Fabric) -> None:
    """h100-sxm of 80 GB: 3g.40gb twice on one accelerator; 3g.20gb is of another accelerator, and never runs."""
    jobs = tuple(job(f"m{i}", 0, 10, 1, mig="3g.40gb") for i in range(17))
    trace = Trace((*jobs, job("w", 0, 10, 1, mig="7g.80gb"), job("x", 0, 1, 1, mig="3g.20gb")))
    cut = fitted(trace, fabric)
    assert {j.slices for j in cut.jobs} == {(3, 4), None}
    assert {j.gpu_milli for j in cut.jobs if j.id != "x"} == {500, 1000}
    for policy in ("best-fit", "fgd", "random-host"):
        (told,) = replay_policies(fabric, cut, [policy], Rules(backfill="any")).policies
        assert told.summary.refused == {"no host of its kind": 1}
        assert told.summary.makespan_s == 20  # 16 at once on eight accelerators, then the rest
        assert told.summary.jobs == 18

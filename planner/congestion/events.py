"""Jobs that come, go and pause: fair rates are solved again whenever somebody starts or stops sending.

A job runs rounds. A round is one or more stages, one after the other; a stage is one or more rows that run at one
time (a ring is one row, an all-to-all a row a flow) and ends with the last of them. Between two rounds a job computes.

Latency is spread over a row's bytes: a ring sends 2(p − 1) messages and pays one α before each, not all at the end. So
a row of b bytes and L seconds of latency never averages more than ``b / (L + b / r)``, r being the rate of its links
alone; and while it waits, the others on the link send. Rates are therefore max-min in these averages: jobs that fight
for a link hide each other's latency, jobs that run free pay their own. (Rings in lockstep, message by message, would
wait at the same moments and hide nothing; jobs that nobody synchronises do not stay in lockstep.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import contended, fill_rates, max_min_rates
from topologies.errors import InputError
from topologies.routing.rows import frozen

__all__ = ["Program", "Timeline", "run_events"]

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

# Two events closer than this fraction of the clock are one: they differ by rounding only.
_SAME_TIME_REL = 1e-12
_MEMO_SETS = 4096


@dataclass(frozen=True, eq=False)
class Program:
    """What each job does; arrays are read-only.

    Attributes
    ----------
    row_job, row_stage
        ``(R,)`` job of each row, and its place in the job's round: 0, 1, …, every one in use.
    row_bytes
        ``(R,)`` bytes of the row's unit flow, the one whose rate is the row's.
    row_latency_s
        ``(R,)`` latency that the row pays in all.
    start_s
        ``(J,)`` when the job starts its first round.
    rounds
        ``(J,)`` how many rounds it runs, at least one.
    compute_s
        ``(J,)`` silent time between two rounds.
    """

    row_job: Int64s
    row_stage: Int64s
    row_bytes: Float64s
    row_latency_s: Float64s
    start_s: Float64s
    rounds: Int64s
    compute_s: Float64s

    def __post_init__(self) -> None:
        for name in ("row_job", "row_stage", "rounds"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))
        for name in ("row_bytes", "row_latency_s", "start_s", "compute_s"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
            values = getattr(self, name)
            if values.size and not (values.min() >= 0 and np.all(np.isfinite(values))):
                raise InputError(what=f"{name} must be finite and not negative", where="Program", found=values.min())
        if self.rounds.size and self.rounds.min() < 1:
            raise InputError(what="a job runs at least one round", where="Program", found=int(self.rounds.min()))
        if self.row_job.size and not 0 <= self.row_job.min() <= self.row_job.max() < self.num_jobs:
            raise InputError(what="a row of an unknown job", where="Program", allowed=f"0 to {self.num_jobs - 1}")

    @property
    def num_jobs(self) -> int:
        """Number of jobs."""
        return int(self.start_s.size)

    @staticmethod
    def of(
        row_bytes: npt.ArrayLike,
        *,
        row_job: npt.ArrayLike | None = None,
        row_stage: npt.ArrayLike = 0,
        row_latency_s: npt.ArrayLike = 0.0,
        start_s: npt.ArrayLike = 0.0,
        rounds: npt.ArrayLike = 1,
        compute_s: npt.ArrayLike = 0.0,
        num_jobs: int | None = None,
    ) -> Program:
        """Fill in what is alike for all rows or all jobs; without `row_job` each row is a job of its own."""
        size = np.asarray(row_bytes, np.float64)
        job = np.arange(size.size) if row_job is None else np.asarray(row_job, np.int64)
        count = int(job.max(initial=-1)) + 1 if num_jobs is None else num_jobs

        def spread(values: npt.ArrayLike, length: int) -> npt.NDArray[np.float64]:
            return np.broadcast_to(np.asarray(values, np.float64), (length,))

        return Program(
            job,
            np.broadcast_to(np.asarray(row_stage, np.int64), size.shape),
            size,
            spread(row_latency_s, size.size),
            spread(start_s, count),
            np.broadcast_to(np.asarray(rounds, np.int64), (count,)),
            spread(compute_s, count),
        )


@dataclass(frozen=True, eq=False)
class Timeline:
    """What happened.

    Attributes
    ----------
    finish_s
        ``(J,)`` end of each job's last round; inf where the clock was stopped before or a link is down.
    round_s
        For each job the communication times of the rounds it finished, in order.
    num_solves
        How often rates were solved.
    """

    finish_s: Float64s
    round_s: tuple[Float64s, ...]
    num_solves: int


def run_events(
    incidence: Incidence,
    capacity_bytes_per_s: Float64s,
    program: Program,
    *,
    until_s: float = np.inf,
    weight: Float64s | None = None,
) -> Timeline:
    """Run all jobs from time 0 until the last one is done or the clock reads `until_s`.

    Parameters
    ----------
    incidence
        Rows × links; as many rows as the program has.
    capacity_bytes_per_s
        ``(L,)``.
    weight
        ``(R,)`` how much of a link a row gets beside others, relative to theirs; all alike without it.

    Raises
    ------
    InputError
        If the program and the incidence have different numbers of rows.
    """
    if incidence.num_rows != program.row_job.size:
        raise InputError(
            what="program and incidence have different numbers of rows",
            where="events",
            found=f"{program.row_job.size} and {incidence.num_rows}",
        )
    reduced, limit = contended(incidence, capacity_bytes_per_s)
    solver = _Solver(reduced, np.asarray(capacity_bytes_per_s, np.float64), limit, program, weight)
    return _Run(program, solver).until(until_s)


@dataclass
class _Solver:
    """Speeds of the rows that are sending, remembered for sets that come again."""

    incidence: Incidence
    capacity_bytes_per_s: Float64s
    limit_bytes_per_s: Float64s
    program: Program
    weight: Float64s | None
    num_solves: int = 0
    memo: dict[bytes, Float64s] = field(default_factory=dict)

    def speeds(self, rows: Int64s) -> Float64s:
        """Fraction of each row done per second."""
        key = rows.tobytes()
        known = self.memo.get(key)
        if known is not None:
            return known
        self.num_solves += 1
        size, latency_s = self.program.row_bytes[rows], self.program.row_latency_s[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            alone_s = latency_s + np.where(size > 0, size / self.limit_bytes_per_s[rows], 0.0)
            speed: Float64s = 1.0 / alone_s
            most = np.where(np.isinf(speed), np.inf, size * speed)
        sending = self.incidence.select(rows)
        if self.weight is None:
            rate = fill_rates(sending, self.capacity_bytes_per_s, most)
        else:
            rate = max_min_rates(
                sending, self.capacity_bytes_per_s, rate_limit_bytes_per_s=most, weight=self.weight[rows]
            ).rate_bytes_per_s
        np.divide(rate, size, out=speed, where=(size > 0) & np.isfinite(rate))
        if len(self.memo) >= _MEMO_SETS:
            self.memo.clear()
        self.memo[key] = speed
        return speed


class _Run:
    """The state of a run: which rows send and how much of them is left, and when silent jobs wake up."""

    def __init__(self, program: Program, solver: _Solver) -> None:
        self.program = program
        self.solver = solver
        self.left = np.zeros(program.row_job.size)
        self.sending = np.zeros(program.row_job.size, bool)
        self.wake_s = program.start_s.copy()
        self.stage = np.full(program.num_jobs, -1, np.int64)
        self.began_s = np.zeros(program.num_jobs)
        self.rounds_left = program.rounds.copy()
        self.finish_s = np.full(program.num_jobs, np.inf)
        self.round_s: list[list[float]] = [[] for _ in range(program.num_jobs)]
        self.num_stages = np.zeros(program.num_jobs, np.int64)
        np.maximum.at(self.num_stages, program.row_job, program.row_stage + 1)

    def until(self, until_s: float) -> Timeline:
        """Go from event to event."""
        now = 0.0
        while True:
            self._wake(now)
            rows = np.flatnonzero(self.sending)
            speed = self.solver.speeds(rows)
            needs = np.full(rows.size, np.inf)
            np.divide(self.left[rows], speed, out=needs, where=speed > 0)
            step_s = min(needs.min(initial=np.inf), self.wake_s.min(initial=np.inf) - now)
            if now + step_s > until_s or step_s == np.inf:
                break
            now += step_s
            at_once = np.isinf(speed)
            self.left[rows] -= np.where(at_once, self.left[rows], np.where(at_once, 0.0, speed) * step_s)
            done = rows[needs <= step_s + _SAME_TIME_REL * now]
            self.sending[done] = False
            self._end_stages(np.unique(self.program.row_job[done]), now)
        rounds = tuple(np.array(times) for times in self.round_s)
        return Timeline(self.finish_s, rounds, self.solver.num_solves)

    def _wake(self, now: float) -> None:
        """Start the rounds of jobs whose silent time is over."""
        for job in np.flatnonzero(self.wake_s <= now * (1 + _SAME_TIME_REL)):
            self.wake_s[job] = np.inf
            self.began_s[job] = now
            self.stage[job] = -1
            self._next_stage(int(job), now)

    def _end_stages(self, jobs: Int64s, now: float) -> None:
        """Go on with those jobs of which nothing is sent any more."""
        busy = np.zeros(self.program.num_jobs, bool)
        busy[self.program.row_job[self.sending]] = True
        for job in jobs[~busy[jobs]]:
            self._next_stage(int(job), now)

    def _next_stage(self, job: int, now: float) -> None:
        """Start a job's next stage, or end its round."""
        self.stage[job] += 1
        if self.stage[job] < self.num_stages[job]:
            rows = np.flatnonzero((self.program.row_job == job) & (self.program.row_stage == self.stage[job]))
            if rows.size:
                self.left[rows] = 1.0
                self.sending[rows] = True
                return
            self._next_stage(job, now)
            return
        self.round_s[job].append(now - self.began_s[job])
        self.rounds_left[job] -= 1
        if self.rounds_left[job]:
            self.wake_s[job] = now + self.program.compute_s[job]
        else:
            self.finish_s[job] = now

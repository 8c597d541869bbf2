"""Time shifts that keep jobs which compute and communicate in turns out of each other's way.

The idea of CASSINI (Rajasekaran, Ghobadi & Akella, NSDI 2024): roll the time line round a circle as long as a common
multiple of the jobs' periods; a job is then a pattern of arcs on the circle, and starting it later turns the pattern.
The best turns are those at which the links have the least *excess*, demand above capacity, over a whole revolution.

Periods are rounded to a common slot; jobs whose periods have no short common multiple drift through all shifts anyway,
and for them no shift is better than another on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from planner.congestion.bands import median_rounds
from planner.congestion.events import Program, run_events
from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import contended, max_min_rates
from topologies.errors import InputError
from topologies.routing.rows import Int64s, frozen

__all__ = ["TimeShift", "best_time_shift"]

Float64s = npt.NDArray[np.float64]

_SLOTS_A_PERIOD = 120  # of the longest period; CASSINI's own choice is 5 degrees, 72 a revolution
_MAX_SLOTS = 5040
_MAX_SWEEPS = 20
_ROUNDS_WATCHED = 12


@dataclass(frozen=True, eq=False)
class TimeShift:
    """An answer of `best_time_shift`; arrays are read-only.

    Attributes
    ----------
    shift_s
        ``(J,)`` how much later than the first job each starts its rounds, less than its period.
    excess_frac, excess_in_step_frac
        Mean demand above capacity over all contended links and the whole circle, as a fraction of capacity: with these
        shifts, and with all jobs starting together. 0 means that the jobs fit beside each other.
    time_s, time_in_step_s, alone_s
        ``(J,)`` communication time of a round: with these shifts, all starting together, and with nobody else there.
        From the event-driven model, which knows no circle.
    """

    shift_s: Float64s
    excess_frac: float
    excess_in_step_frac: float
    time_s: Float64s
    time_in_step_s: Float64s
    alone_s: Float64s

    def __post_init__(self) -> None:
        for name in ("shift_s", "time_s", "time_in_step_s", "alone_s"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))


def best_time_shift(incidence: Incidence, capacity_bytes_per_s: Float64s, program: Program) -> TimeShift:
    """Find when each job should start its rounds.

    Parameters
    ----------
    incidence, capacity_bytes_per_s, program
        As for `planner.congestion.events.run_events`; starts and numbers of rounds are not looked at.

    Raises
    ------
    InputError
        If a job has neither a pause nor anything to send.
    """
    circle = _Circle(incidence, capacity_bytes_per_s, program)
    turns = circle.best_turns()
    shift_s: Float64s = turns.astype(np.float64) * circle.slot_s
    in_step = np.zeros(program.num_jobs)
    return TimeShift(
        shift_s,
        circle.excess_frac(turns),
        circle.excess_frac(np.zeros_like(turns)),
        _watched_s(incidence, capacity_bytes_per_s, program, shift_s),
        _watched_s(incidence, capacity_bytes_per_s, program, in_step),
        circle.alone_s,
    )


def _watched_s(incidence: Incidence, capacity_bytes_per_s: Float64s, program: Program, start_s: Float64s) -> Float64s:
    """Median round of each job in the event-driven model."""
    rounds = np.full(program.num_jobs, _ROUNDS_WATCHED)
    return median_rounds(run_events(incidence, capacity_bytes_per_s, replace(program, start_s=start_s, rounds=rounds)))


class _Circle:
    """The jobs as patterns on a circle of slots, and the links they contend for."""

    def __init__(self, incidence: Incidence, capacity_bytes_per_s: Float64s, program: Program) -> None:
        num_jobs = program.num_jobs
        reduced, limit = contended(incidence, capacity_bytes_per_s)
        rate = np.empty(incidence.num_rows)
        for job in range(num_jobs):
            rows = np.flatnonzero(program.row_job == job)
            rate[rows] = max_min_rates(
                incidence.select(rows), capacity_bytes_per_s, rate_limit_bytes_per_s=limit[rows]
            ).rate_bytes_per_s
        row_s = program.row_latency_s + np.divide(
            program.row_bytes, rate, out=np.zeros(rate.size), where=program.row_bytes > 0
        )
        num_stages = int(program.row_stage.max(initial=0)) + 1
        stage_s = np.zeros(num_jobs * num_stages)
        stage = program.row_job * num_stages + program.row_stage
        np.maximum.at(stage_s, stage, row_s)
        before_s = np.cumsum(stage_s.reshape(num_jobs, num_stages), axis=1) - stage_s.reshape(num_jobs, num_stages)
        self.alone_s = stage_s.reshape(num_jobs, num_stages).sum(axis=1)
        period_s = self.alone_s + program.compute_s
        if np.any(period_s <= 0):
            raise InputError(
                what="a job without a period cannot be shifted", where=f"job {int(np.argmin(period_s))}", found="0 s"
            )
        self.slot_s = float(period_s.max()) / _SLOTS_A_PERIOD if num_jobs else 1.0
        self.period = np.maximum(np.rint(period_s / self.slot_s).astype(np.int64), 1)
        self.num_slots = min(math.lcm(*self.period.tolist()), _MAX_SLOTS) if num_jobs else 1
        links, column = np.unique(reduced.link, return_inverse=True)
        self._capacity = np.asarray(capacity_bytes_per_s, np.float64)[links]
        self._pattern = np.zeros((num_jobs, links.size, self.num_slots))
        entry_row = reduced.entry_row()
        begin_s = before_s.ravel()[stage]
        for entry, row in enumerate(entry_row):
            job = int(program.row_job[row])
            arcs = self._arcs(begin_s[row], row_s[row], self.period[job])
            self._pattern[job, column.ravel()[entry]] += reduced.multiplicity[entry] * rate[row] * arcs

    def _arcs(self, begin_s: float, length_s: float, period: int) -> Float64s:
        """How much of each slot a job sends in that begins at `begin_s` of every period, ``(num_slots,)``."""
        slot = np.arange(self.num_slots) % period
        begin, end = begin_s / self.slot_s, (begin_s + length_s) / self.slot_s
        arcs: Float64s = np.clip(np.minimum(slot + 1, end) - np.maximum(slot, begin), 0.0, 1.0)
        return arcs

    def excess_frac(self, turns: Int64s) -> float:
        """Mean demand above capacity, as a fraction of capacity, when each pattern is turned by so many slots."""
        demand = sum(
            (np.roll(pattern, int(turn), axis=1) for pattern, turn in zip(self._pattern, turns, strict=True)),
            np.zeros(self._pattern.shape[1:]),
        )
        return self._excess(demand)

    def _excess(self, demand: Float64s) -> float:
        if not self._capacity.size:
            return 0.0
        over = np.maximum(demand / self._capacity[:, None] - 1.0, 0.0)
        return float(over.mean())

    def best_turns(self) -> Int64s:
        """Turn one job after the other to where it fits best, until none moves any more; the first stays."""
        num_jobs = len(self._pattern)
        turns = np.zeros(num_jobs, np.int64)
        if not self._capacity.size:
            return turns
        order = np.argsort(-self._pattern.sum(axis=(1, 2)), kind="stable")  # the heaviest first: it leads
        placed = np.zeros(self._pattern.shape[1:])
        for job in order:
            turns[job] = self._best_turn(int(job), placed) if job != order[0] else 0
            placed += np.roll(self._pattern[job], int(turns[job]), axis=1)
        for _ in range(_MAX_SWEEPS):
            moved = False
            for job in order[1:]:
                placed -= np.roll(self._pattern[job], int(turns[job]), axis=1)
                turn = self._best_turn(int(job), placed, now=int(turns[job]))
                moved |= turn != turns[job]
                turns[job] = turn
                placed += np.roll(self._pattern[job], turn, axis=1)
            if not moved:
                break
        since_first: Int64s = (turns - turns[0]) % self.period
        return since_first

    def _best_turn(self, job: int, placed: Float64s, now: int | None = None) -> int:
        """Turn with the least excess beside what is placed; the present one unless another is truly better."""
        pattern = self._pattern[job]
        excess = [self._excess(placed + np.roll(pattern, turn, axis=1)) for turn in range(int(self.period[job]))]
        best = int(np.argmin(excess))
        if now is not None and excess[now] <= excess[best] * (1 + 1e-9) + 1e-15:
            return now
        return best

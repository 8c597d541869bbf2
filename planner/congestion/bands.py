"""How far a job's time may lie from the fair answer, from what queues do, and not from any fit.

A max-min answer supposes that every queue is fair and that nobody knows when the others pause. Real queues differ:

* *Fair queues* (one queue a flow or a sender, served in turn) share as max-min says.
* *FIFO queues* share by the bytes that each sender has outstanding. Two that wait in one queue see the same delay; one
  that also waits in a second full queue elsewhere sees twice the delay, and the throughput of window protocols goes as
  one over the round trip (Mathis et al., *The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm*, 1997).
  So next to others a job may have anything from half to twice the weight of theirs.
* *Pauses*: a job that computes in between may always miss the others (the isolated view), or always meet them (worst).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from planner.congestion.events import Program, Timeline, run_events
from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import max_min_rates

__all__ = ["UNFAIRNESS", "Band", "Queue", "median_rounds", "steady_band"]

Float64s = npt.NDArray[np.float64]

Queue = Literal["fair", "fifo"]

UNFAIRNESS: MappingProxyType[Queue, float] = MappingProxyType({"fair": 1.0, "fifo": 2.0})
"""Largest ratio of the weights with which two jobs share a queue; see the module's text."""

_ROUNDS_WATCHED = 40.0
_WARM_UP_FRAC = 0.25


@dataclass(frozen=True, eq=False)
class Band:
    """Time of one round of each job in the steady state, ``(J,)`` each, without the pause.

    Attributes
    ----------
    time_s
        With fair queues: the median round.
    low_s, high_s
        What queues and pauses may make of it.
    """

    time_s: Float64s
    low_s: Float64s
    high_s: Float64s


def steady_band(incidence: Incidence, capacity_bytes_per_s: Float64s, program: Program, queue: Queue) -> Band:
    """Let all jobs run round after round, and tell the median round of each and its band.

    Parameters
    ----------
    incidence, capacity_bytes_per_s, program
        As for `run_events`; start times and numbers of rounds are not looked at.
    queue
        Kind of queue at the links.
    """
    run = _Steady(incidence, capacity_bytes_per_s, program)
    fair = run.median_s(program)
    found = [fair, fair.copy()]
    ratio = UNFAIRNESS[queue]
    pausing = bool(np.any(program.compute_s > 0))
    hurried = replace(program, compute_s=np.zeros(program.num_jobs))
    if pausing:
        found += [run.median_s(hurried), run.alone_s(program)]
    if ratio > 1.0:
        favoured, slighted = np.empty_like(fair), np.empty_like(fair)
        for job in range(program.num_jobs):
            mine = program.row_job == job
            favoured[job] = run.median_s(program, np.where(mine, ratio, 1.0))[job]
            slighted[job] = run.median_s(hurried, np.where(mine, 1.0 / ratio, 1.0))[job]
        found += [favoured, slighted]
    return Band(fair, np.minimum.reduce(found), np.maximum.reduce(found))


class _Steady:
    """Repeats the jobs of a program for as long as the slowest of them needs to show its steady state."""

    def __init__(self, incidence: Incidence, capacity_bytes_per_s: Float64s, program: Program) -> None:
        self.incidence = incidence
        self.capacity = capacity_bytes_per_s
        rate = max_min_rates(incidence, capacity_bytes_per_s).rate_bytes_per_s
        row_s = program.row_latency_s.copy()
        np.add(row_s, np.divide(program.row_bytes, rate, out=np.zeros_like(rate), where=rate > 0), out=row_s)
        num_stages = int(program.row_stage.max(initial=0)) + 1
        stage_s = np.zeros(program.num_jobs * num_stages)
        np.maximum.at(stage_s, program.row_job * num_stages + program.row_stage, row_s)
        round_s = stage_s.reshape(-1, num_stages).sum(axis=1)
        self.watch_s = _ROUNDS_WATCHED * float(np.max(round_s + program.compute_s, initial=0.0))

    def median_s(self, program: Program, weight: Float64s | None = None) -> Float64s:
        """Median round of each job once all have got going; inf for one that ends none."""
        endless = replace(
            program,
            start_s=np.zeros(program.num_jobs),
            rounds=np.full(program.num_jobs, np.iinfo(np.int64).max),
        )
        timeline = run_events(self.incidence, self.capacity, endless, until_s=self.watch_s, weight=weight)
        return median_rounds(timeline)

    def alone_s(self, program: Program) -> Float64s:
        """Round of each job with nobody else there, ``(J,)``."""
        out = np.empty(program.num_jobs)
        for job in range(program.num_jobs):
            rows = np.flatnonzero(program.row_job == job)
            mine = Program.of(
                program.row_bytes[rows],
                row_job=np.zeros(rows.size, np.int64),
                row_stage=program.row_stage[rows],
                row_latency_s=program.row_latency_s[rows],
                num_jobs=1,
            )
            out[job] = run_events(self.incidence.select(rows), self.capacity, mine).finish_s[0]
        return out


def median_rounds(timeline: Timeline) -> Float64s:
    """Median of each job's rounds after the first quarter of them."""
    settled = [rounds[int(rounds.size * _WARM_UP_FRAC) :] for rounds in timeline.round_s]
    return np.array([np.median(rounds) if rounds.size else np.inf for rounds in settled])

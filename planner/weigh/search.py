"""Finds the fastest way to spread a job over a machine: all legal mappings, priced at once, the best ones explained.

The scan is exhaustive: every divisor of the accelerators for every kind of parallelism, every number of chunks, every
micro-batch that divides. Mappings are priced by the machine's bandwidths in one vectorised pass a block, and cut by a
lower bound (computation alone) before communication is priced. With a pricer of a real fabric, the best by bandwidth
are priced again in the order of their bounds until the next bound is no better than the best found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.weigh.candidates import Candidates, all_mappings
from planner.workloads.machine import Machine
from planner.workloads.memory import memory_use
from planner.workloads.pricing import BandwidthPricer, Pricer
from planner.workloads.step_time import StepTimes, step_times
from planner.workloads.training import Mappings, TrainingJob
from topologies.errors import InfeasibleError
from topologies.units import format_bytes

__all__ = ["Found", "Scan", "bounds_of", "search"]

_Floats = npt.NDArray[np.float64]

_BLOCK = 65_536
_FIRST_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes
    ----------
    job, machine
        What was asked.
    mappings, times
        The best mappings, fastest first, and their times.
    num_legal, num_fitting, num_priced
        How many mappings are legal, fit into memory, and were priced in full.
    """

    job: TrainingJob
    machine: Machine
    mappings: Mappings
    times: StepTimes
    num_legal: int
    num_fitting: int
    num_priced: int

    @property
    def step_s(self) -> float:
        """Time of a step with the best mapping."""
        return float(self.times.total_s[0])

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of the whole machine."""
        return self.job.tokens_a_step / self.step_s

    @property
    def mfu_frac(self) -> float:
        """Model operations over the dense bf16 peak (causal attention, nothing recomputed)."""
        flops = self.job.model.training_flops_a_token(self.job.seq) * self.tokens_per_s
        return flops / (self.machine.peak_flops_per_s["bf16"] * self.machine.num_accelerators)

    def why(self) -> str:
        """Return in a sentence why the best is best: which part the next best loses most on."""
        if len(self.mappings) < 2:
            return "Nothing else fits."
        best, other = self.times.row(0), self.times.row(1)
        lost = {name: other[name] - best[name] for name in best}
        worst = max(lost, key=lambda name: lost[name])
        slower = float(self.times.total_s[1]) / self.step_s - 1
        changed = {
            key: value for key, value in self.mappings.row(1).items()
            if value != self.mappings.row(0)[key] and key != "recompute_frac"
        }  # fmt: skip
        text = ", ".join(f"{key} {self.mappings.row(0)[key]} → {value}" for key, value in changed.items())
        return (
            f"The next best ({text}) takes {slower:.1%} longer: {worst.removesuffix('_s')} costs "
            f"{lost[worst] * 1e3:.3g} ms a step more."
        )

    def as_dict(self, most: int = 5) -> dict[str, Any]:
        """Return the result as plain data."""
        rows = []
        for i in range(min(most, len(self.mappings))):
            memory = self.times.memory
            parts = ("weights", "gradients", "optimizer", "activations", "buffers")
            rows.append(
                {
                    **self.mappings.row(i),
                    "recompute_frac": round(float(memory.recompute_frac[i]), 4),
                    "step_s": float(self.times.total_s[i]),
                    "parts_s": self.times.row(i),
                    "memory_bytes": {part: float(getattr(memory, f"{part}_bytes")[i]) for part in parts},
                }
            )
        return {
            "model": self.job.model.name,
            "machine": self.machine.name,
            "accelerators": self.machine.num_accelerators,
            "tokens_per_s": self.tokens_per_s,
            "mfu_frac": self.mfu_frac,
            "legal": self.num_legal,
            "fitting": self.num_fitting,
            "priced": self.num_priced,
            "why": self.why(),
            "mappings": rows,
        }


class _Free:
    """Prices every collective at nothing: what is left is a lower bound."""

    def time_s(self, collective: Collective, ranks: _Floats, stride: _Floats, size_bytes: _Floats) -> _Floats:
        """Return zeros."""
        return np.zeros(np.broadcast_shapes(np.shape(ranks), np.shape(stride), np.shape(size_bytes)))


def search(
    job: TrainingJob,
    machine: Machine,
    *,
    candidates: Candidates | None = None,
    pricer: Pricer | None = None,
    keep: int = 8,
) -> Found:
    """Find the fastest mappings that fit.

    Parameters
    ----------
    job, machine
        What is trained where.
    candidates
        Which sizes are tried.
    pricer
        Prices collectives, by the machine's bandwidths if ``None``. The answer is exact for it: a mapping is left out
        only when its time without any communication is no better than what was found.
    keep
        How many to return.

    Raises
    ------
    InfeasibleError
        If nothing is legal, or nothing fits.
    """
    return Scan.of(job, machine, candidates).best(pricer, keep=keep)


def bounds_of(job: TrainingJob, machine: Machine, mappings: Mappings) -> _Floats:
    """Return a lower bound of each mapping's step time, ``(N,)``: its time without any communication."""
    return np.concatenate(
        [step_times(job, machine, mappings.take(rows), _Free()).total_s for rows in _blocks(len(mappings))]
    )


@dataclass(frozen=True, eq=False)
class Scan:
    """All mappings of a job that fit a machine, with their lower bounds: best found again and again under other links.

    Attributes
    ----------
    job, machine
        What was asked.
    mappings
        Every mapping that fits.
    bound_s
        Its time without any communication, rising.
    num_legal
        How many mappings are legal.
    """

    job: TrainingJob
    machine: Machine
    mappings: Mappings
    bound_s: _Floats
    num_legal: int

    @classmethod
    def of(cls, job: TrainingJob, machine: Machine, candidates: Candidates | None = None) -> Scan:
        """Enumerate, drop what does not fit, and bound the rest.

        Raises
        ------
        InfeasibleError
            If nothing is legal, or nothing fits.
        """
        blocks = list(all_mappings(job, machine.num_accelerators, candidates))
        if not blocks:
            raise InfeasibleError(
                what="no mapping divides this job over these accelerators",
                where=f"{job.model.name} on {machine.name}",
                found=f"global batch {job.global_batch}, {machine.num_accelerators} accelerators"
                + "".join(f", {name} {value}" for name, value in (candidates.pinned if candidates else ())),
                fix="choose a global batch and a size with more divisors"
                + ("; zero 2 and 3 go with pp 1 only" if candidates and candidates.pinned else ""),
            )
        mappings = Mappings.join(blocks)
        memory = memory_use(job, machine, mappings)
        fitting = np.flatnonzero(memory.fits)
        if not len(fitting):
            least = int(np.argmin(memory.total_bytes))
            raise InfeasibleError(
                what="the model fits on no mapping",
                where=f"{job.model.name} on {machine.name}",
                found=f"{format_bytes(float(memory.total_bytes[least]))} an accelerator at least",
                allowed=f"{format_bytes(memory.usable_bytes)}",
                fix="take more accelerators or ones with more memory",
            )
        fit = mappings.take(fitting)
        bound = bounds_of(job, machine, fit)
        order = np.argsort(bound, kind="stable")
        return cls(job, machine, fit.take(order), bound[order], len(mappings))

    def best(self, pricer: Pricer | None = None, *, machine: Machine | None = None, keep: int = 8) -> Found:
        """Find the fastest mappings.

        Parameters
        ----------
        pricer
            Prices collectives; by the machine's bandwidths if ``None``.
        machine
            The same accelerators on other links; the scan's own machine if ``None``.
        keep
            How many to return.
        """
        where = machine or self.machine
        price = pricer or BandwidthPricer(where)
        best_rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        best_times: _Floats = np.zeros(0)
        done, step = 0, _FIRST_BLOCK
        while done < len(self.bound_s):
            if len(best_times) >= keep and self.bound_s[done] >= best_times[keep - 1]:
                break
            rows = np.arange(done, min(done + step, len(self.bound_s)))
            times = step_times(self.job, where, self.mappings.take(rows), price).total_s
            best_rows, best_times = np.concatenate((best_rows, rows)), np.concatenate((best_times, times))
            first = np.lexsort((best_rows, best_times))[:keep]
            best_rows, best_times = best_rows[first], best_times[first]
            done += len(rows)
            step = min(step * 4, _BLOCK)
        best = self.mappings.take(best_rows)
        return Found(
            job=self.job,
            machine=where,
            mappings=best,
            times=step_times(self.job, where, best, price),
            num_legal=self.num_legal,
            num_fitting=len(self.mappings),
            num_priced=done,
        )

    def best_on(self, pricer: Pricer, *, machine: Machine | None = None, shortlist: int = 24, keep: int = 8) -> Found:
        """Find the fastest mappings by bandwidth, and price them, the best few, with a pricer that takes its time.

        Parameters
        ----------
        pricer
            Prices collectives on real links.
        machine
            The same accelerators on other links; the scan's own machine if ``None``.
        shortlist, keep
            How many are priced so, and how many to return.
        """
        first = self.best(machine=machine, keep=shortlist)
        times = step_times(self.job, first.machine, first.mappings, pricer)
        order = np.argsort(times.total_s, kind="stable")[:keep]
        best = first.mappings.take(order)
        return Found(
            job=self.job,
            machine=first.machine,
            mappings=best,
            times=step_times(self.job, first.machine, best, pricer),
            num_legal=first.num_legal,
            num_fitting=first.num_fitting,
            num_priced=first.num_priced,
        )


def _blocks(count: int) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, count, _BLOCK):
        yield np.arange(first, min(first + _BLOCK, count))

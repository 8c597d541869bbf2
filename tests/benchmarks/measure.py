"""Measuring: two things in turns, so that a busy machine is unfair to neither; memory in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Timed", "peak_memory_bytes", "peak_of_process_bytes", "side_by_side", "timed"]


@dataclass(frozen=True)
class Timed:
    """Wall times of several runs of one thing, in seconds."""

    runs_s: tuple[float, ...]

    @property
    def best_s(self) -> float:
        """The fastest run: what the thing costs when nothing disturbs it."""
        return min(self.runs_s)

    @property
    def median_s(self) -> float:
        """The middle run."""
        return statistics.median(self.runs_s)


def timed(action: Callable[[], object], *, repeat: int = 3) -> Timed:
    """Time `action` `repeat` times."""
    return Timed(tuple(_once(action) for _ in range(repeat)))


def side_by_side(
    ours: Callable[[], object], reference: Callable[[], object], *, repeat: int = 5
) -> tuple[Timed, Timed]:
    """Time two actions in turns, `repeat` times each."""
    pairs = [(_once(ours), _once(reference)) for _ in range(repeat)]
    return Timed(tuple(pair[0] for pair in pairs)), Timed(tuple(pair[1] for pair in pairs))


def _once(action: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s


def peak_memory_bytes(action: Callable[[], object]) -> int:
    """Measure how far `action` raises the resident memory of a process that is forked for it, at its peak."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        before = _peak_bytes()
        action()
        sender.send(_peak_bytes() - before)

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        return int(receiver.recv())
    finally:
        process.join()


def peak_of_process_bytes(code: str) -> int:
    """Run Python code in a fresh process; return its peak resident memory, libraries and all."""
    told = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    ended = subprocess.run([sys.executable, "-c", code + told], check=True, capture_output=True, text=True)
    return int(ended.stdout.split()[-1]) * 1024  # Linux counts in KiB


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB

"""`TraceJob` and `Trace`: what was submitted when, and what had to be mended to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise

from topologies.errors import InputError

__all__ = ["StreamedJobs", "Trace", "TraceJob"]


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a trace.

    Attributes
    ----------
    id
        Text from the file.
    submit_s
        When it was submitted, from the trace's zero.
    duration_s
        How long it runs once it has everything and nobody is in its way.
    gpus
        Accelerators; 0 for work without.
    gpu_milli
        Thousandths of each, below 1000 only for one accelerator.
    cpu_milli, memory_mib
        Processor and host memory in all; 0 where the trace does not say.
    models
        Accelerator models it accepts; empty accepts all.
    tenant, status, kind
        As the trace says; empty where it does not.
    priority
        The larger goes first under the order ``priority``.
    limit_s
        What its owner said it would take at most; None stands for the duration.
    used_frac
        Mean part of its accelerators' time in which they worked, 0 to 1; None where the trace does not say.
    mig, slices
        MIG profile of the one instance that it wants, as ``3g.40gb``; and its compute and memory slices, once it is
        known on which accelerators.
    """

    id: str
    submit_s: float
    duration_s: float
    gpus: int
    gpu_milli: int = 1000
    cpu_milli: int = 0
    memory_mib: int = 0
    models: tuple[str, ...] = ()
    tenant: str = ""
    status: str = ""
    kind: str = ""
    priority: float = 0.0
    limit_s: float | None = None
    used_frac: float | None = None
    mig: str = ""
    slices: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.duration_s < 0 or self.gpus < 0:
            raise InputError(what="a trace job below zero", where=f"job {self.id!r}", found=str(self))

    @property
    def accelerators(self) -> float:
        """Accelerators in all, parts counted as parts."""
        return self.gpus * self.gpu_milli / 1000

    @property
    def expected_s(self) -> float:
        """What a scheduler may count on: the limit, else the duration."""
        return self.duration_s if self.limit_s is None else self.limit_s


class StreamedJobs(Collection[TraceJob]):
    """Jobs that are read anew each time they are gone through, so that they need no memory.

    Parameters
    ----------
    read
        Yields the jobs, sorted by submission.
    count
        How many there are.
    last_submit_s
        When the last is submitted.
    """

    def __init__(self, read: Callable[[], Iterator[TraceJob]], count: int, last_submit_s: float) -> None:
        self._read = read
        self._count = count
        self.last_submit_s = last_submit_s

    def __iter__(self) -> Iterator[TraceJob]:
        return self._read()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, job: object) -> bool:
        return any(job == other for other in self)


@dataclass(frozen=True)
class Trace:
    """Jobs by submission.

    Attributes
    ----------
    jobs
        Sorted by submission, as they stood within one instant: a tuple, or `StreamedJobs` of a file too long for that.
    mended
        What had to be mended or left out → how often.
    source
        Where it came from, for people.
    """

    jobs: Collection[TraceJob]
    mended: Counter[str] = field(default_factory=Counter)
    source: str = ""

    @classmethod
    def of(cls, jobs: Iterable[TraceJob], *, mended: Counter[str] | None = None, source: str = "") -> Trace:
        """Sort jobs by submission; say so if they were not."""
        found = list(jobs)
        counted: Counter[str] = Counter(mended or ())
        backwards = sum(a.submit_s > b.submit_s for a, b in pairwise(found))
        if backwards:
            counted["rows out of order: sorted by submission"] += backwards
            found.sort(key=lambda job: job.submit_s)
        return cls(tuple(found), counted, source)

    @property
    def last_submit_s(self) -> float:
        """When the last job is submitted; 0 without jobs."""
        if isinstance(self.jobs, StreamedJobs):
            return self.jobs.last_submit_s
        return max((job.submit_s for job in self.jobs), default=0.0)

    def head(self, count: int) -> Trace:
        """Return the first so many jobs."""
        return Trace(tuple(islice(self.jobs, count)), self.mended, self.source)

    def mapped(self, change: Callable[[TraceJob], TraceJob], told: Counter[str]) -> Trace:
        """Return the trace with every job changed, its time of submission kept, and more counts told."""
        counted = self.mended + told
        if isinstance(self.jobs, StreamedJobs):
            jobs = self.jobs
            return Trace(StreamedJobs(lambda: map(change, jobs), len(jobs), jobs.last_submit_s), counted, self.source)
        return Trace(tuple(change(job) for job in self.jobs), counted, self.source)

    def between(self, start_s: float, end_s: float = float("inf")) -> Trace:
        """Return the jobs submitted in a span of time."""
        kept = tuple(job for job in self.jobs if start_s <= job.submit_s < end_s)
        return Trace(kept, self.mended, self.source)

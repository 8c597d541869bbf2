"""What runs, and who is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from planner.replay.pool import WHOLE_MILLI, Ask, Grant, HostPool
from planner.traces.trace import TraceJob

if TYPE_CHECKING:
    from planner.replay.queues import WaitingLine
    from planner.replay.site import Site

__all__ = ["Instant", "Observer", "PoolNow", "Running", "Stretch", "asks_of"]


@dataclass(slots=True, eq=False)
class Running:
    """A job that has its accelerators.

    Attributes
    ----------
    number, job, grants
        Which, and what it has.
    start_s
        When it got that.
    left_s
        Work left at `seen_s`, in seconds alone on the network.
    seen_s
        Until when its work is accounted for; later than now while it launches.
    slowdown
        How much longer everything takes now.
    end_s
        When it ends if nothing changes.
    work_s
        When it works: the start, and what launching takes.
    is_launching
        Whether it does not work yet.
    """

    number: int
    job: TraceJob
    grants: list[Grant]
    start_s: float
    left_s: float
    seen_s: float
    slowdown: float = 1.0
    end_s: float = 0.0
    version: int = 0
    work_s: float = 0.0
    is_launching: bool = False

    def settle(self, now_s: float) -> None:
        """Account for the work done until now."""
        if now_s > self.seen_s:
            self.left_s = max(self.left_s - (now_s - self.seen_s) / self.slowdown, 0.0)
            self.seen_s = now_s


@dataclass(slots=True)
class PoolNow:
    """A serving pool at an instant: replicas that serve, and the replicas' worth of requests."""

    name: str
    tenant: str
    gpus: int
    ready: int = 0
    wanted: float = 0.0

    @property
    def busy(self) -> float:
        """Replicas' worth of accelerators that serve requests."""
        return min(float(self.ready), self.wanted)


@dataclass(slots=True)
class Instant:
    """What holds from an instant to the next.

    Attributes
    ----------
    pool, site
        What is free, and who may use it.
    line
        Who waits.
    blocked
        Why the first does.
    running
        What has its accelerators, by number; replicas have negative numbers.
    launching, gang_held
        Accelerators held by jobs that do not work yet, and by gangs that are not complete.
    pools
        Serving pools.
    """

    pool: HostPool
    site: Site
    line: WaitingLine
    running: Mapping[int, Running]
    blocked: str = ""
    launching: float = 0.0
    gang_held: float = 0.0
    pools: tuple[PoolNow, ...] = field(default_factory=tuple)


class Stretch(Protocol):
    """Tells how much neighbours slow each other down."""

    def changed(
        self, running: Mapping[int, Running], started: Sequence[Running], ended: Sequence[Running]
    ) -> Mapping[int, float]:
        """Return the new slow-down, 1 or more, of every job whose slow-down changed, by number."""
        ...


class Observer(Protocol):
    """Is told what happens, in order of time."""

    def start(self, now_s: float, run: Running, waited_since_s: float) -> None:
        """Tell that a job got its accelerators; it works from `Running.work_s` on."""

    def end(self, now_s: float, run: Running, outcome: str) -> None:
        """Tell that a job gave them back: ``done``, ``failed``, ``preempted``, ``moved`` or ``never-launched``."""

    def settled(self, now_s: float, now: Instant) -> None:
        """Tell that an instant is over: what is free and who waits holds until the next."""

    def refused(self, now_s: float, job: TraceJob, why: str) -> None:
        """Tell that a job can never run here."""

    def slowed(self, now_s: float, run: Running, slowdown: float) -> None:
        """Tell that a job runs slower or faster from now on, just before it does."""


def asks_of(job: TraceJob, gpus_per_host: int) -> tuple[Ask, ...]:
    """Split a job over hosts: whole hosts, and the rest on one more; nobody splits what fits in one host."""
    if job.gpus <= gpus_per_host:
        milli = job.gpu_milli if job.gpus else WHOLE_MILLI
        return (Ask(job.gpus, milli, job.cpu_milli, job.memory_mib, job.models, job.slices),)
    full, rest = divmod(job.gpus, gpus_per_host)

    def part(gpus: int) -> Ask:
        cpu, memory = job.cpu_milli * gpus // job.gpus, job.memory_mib * gpus // job.gpus
        return Ask(gpus, WHOLE_MILLI, cpu, memory, job.models)

    return (part(gpus_per_host),) * full + ((part(rest),) if rest else ())

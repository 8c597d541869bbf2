"""What has become of a job since the last look: the one place that says when to plan, wait, repair or hand over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from planner.slurm.journal import TrackedJob
from planner.slurm.records import QueuedJob

__all__ = ["Judgement", "Limits", "Next", "is_parked", "judge"]

# Reasons of a pending job (squeue %r) that say that the pin cannot be carried out.
_PIN_IS_BAD = ("BadConstraints", "ReqNodeNotAvail", "NodeDown", "PartitionNodeLimit")
# Reasons that say that Slurm's own limits hold the job back: a pin would only block the hosts.
_NOT_OURS = (
    "QOS",
    "Assoc",
    "Licenses",
    "JobArrayTaskLimit",
    "Partition",
    "Invalid",
    "Account",
    "JobHeld",
    "Dependency",
)
_NOT_YET_LOOKED_AT = ("BeginTime", "None", "JobArrayTaskLimit")
_CONFIRMED = ("pinned", "Slurm has taken the node list")
_BEGIN_SLACK_S = 90.0
_CLOCK_SLACK_S = 5.0
SETTLE_S = 3.0  # an scontrol left over from a daemon that was killed has done its lines by then


Event = tuple[str, str]


class Next(Enum):
    """What to do with a job."""

    NOTHING = "nothing"
    PLAN = "plan"
    HAND_OVER = "hand over"


@dataclass(frozen=True)
class Judgement:
    """What is to be done, and what the journal shall say.

    Attributes
    ----------
    job
        As it stands in the journal from now on.
    events
        Decisions to write: ``(action, reason)``, in order.
    """

    next: Next
    job: TrackedJob
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Limits:
    """The settings that decide, and when this daemon started."""

    park_s: float
    max_parked_s: float
    max_tries: int
    start_grace_s: float
    daemon_start_s: float


def is_parked(job: QueuedJob, now_s: float) -> bool:
    """Whether a pending job waits for its begin time.

    A start in the future may also be Slurm's own forecast; the reason tells the two apart.
    """
    return job.is_pending and job.reason in _NOT_YET_LOOKED_AT and job.start_s is not None and job.start_s > now_s


def judge(
    tracked: TrackedJob, job: QueuedJob | None, *, hosts_are_usable: bool, now_s: float, limits: Limits
) -> Judgement:
    """Compare a job of the journal with the queue.

    Parameters
    ----------
    tracked
        As in the journal.
    job
        As Slurm tells, waiting, running or ended; ``None`` when it does not tell any more.
    hosts_are_usable
        Whether the hosts it is pinned to are up and have the room.
    """
    if job is None:
        return _gone(tracked, now_s)
    if job.is_ended:
        return _ended(tracked, job, now_s)
    if job.is_running and job.state != "COMPLETING" and job.nodes:
        return Judgement(Next.NOTHING, *_started(tracked, job, now_s))
    # Of a completing job squeue names only the nodes that are not yet given back: its end will tell them all.
    if not job.is_pending or tracked.state == "released":
        return Judgement(Next.NOTHING, tracked)
    if tracked.state == "running":
        tracked = replace(_to(tracked, "pinned", now_s), since_s=now_s)
        return Judgement(Next.PLAN, tracked, (("requeued", "Slurm put it back into the queue"),))
    if tracked.state == "parked":
        return _parked(tracked, job, now_s, limits)
    if tracked.state in ("pinning", "pinned"):
        return _pinned(tracked, job, hosts_are_usable, now_s, limits)
    if tracked.state == "releasing":
        if not job.req_nodes and not is_parked(job, now_s):
            return Judgement(Next.NOTHING, _to(tracked, "released", now_s))
        return Judgement(Next.HAND_OVER, tracked)
    return Judgement(Next.NOTHING, tracked)


def _to(tracked: TrackedJob, state: str, now_s: float) -> TrackedJob:
    return replace(tracked, state=state, changed_s=now_s)


def _started(tracked: TrackedJob, job: QueuedJob, now_s: float) -> tuple[TrackedJob, tuple[Event, ...]]:
    """Note the hosts a job runs or ran on; it ran as planned only if Slurm had taken the pin before it started."""
    moved = not set(job.nodes) <= set(tracked.ran_on)
    if tracked.ran_on and tracked.state in ("running", "released"):
        if not moved:
            return tracked, ()
        again = replace(tracked, ran_on=job.nodes, starts=tracked.starts + 1, changed_s=now_s)
        return again, (("ran", "started again by Slurm on other hosts"),)
    started = replace(_to(tracked, "running", now_s), ran_on=job.nodes, starts=tracked.starts + 1)
    as_planned = set(job.nodes) == set(tracked.hosts)
    if tracked.state == "preferred":
        return started, (("ran", "on the planned hosts" if as_planned else "on other hosts than asked for"),)
    if tracked.state in ("pinning", "pinned") and set(job.req_nodes) == set(tracked.hosts):
        seen: tuple[Event, ...] = (_CONFIRMED,) if tracked.state == "pinning" else ()
        return started, (*seen, ("ran", "on the planned hosts" if as_planned else "on other hosts than planned"))
    if tracked.state in ("parked", "pinning") and set(job.req_nodes) == set(job.nodes):
        kept = replace(started, hosts=job.nodes)  # it started before Slurm was told anew; the order of ranks is lost
        return kept, (("pinned", "Slurm has kept an earlier node list"), ("ran", "on the planned hosts"))
    given_up: tuple[Event, ...] = ()
    if tracked.state in ("parked", "pinning"):
        given_up = (("released", "its parked time ran out before a pin reached Slurm"),)
    elif tracked.state == "pinned":
        given_up = (("released", "its node list was changed by someone"),)
    return replace(started, state="released", hosts=()), (*given_up, ("ran", "started by Slurm without a plan"))


def _ended(tracked: TrackedJob, job: QueuedJob, now_s: float) -> Judgement:
    """Note the end, and the start too if it fell between two looks."""
    if not job.nodes:
        event = ("ended", f"Slurm says {job.state}, and that it never started")
        return Judgement(Next.NOTHING, _to(tracked, "done", now_s), (event,))
    ran, events = _started(tracked, job, now_s)
    return Judgement(Next.NOTHING, _to(ran, "done", now_s), (*events, ("ended", f"Slurm says {job.state}")))


def _gone(tracked: TrackedJob, now_s: float) -> Judgement:
    """Note that Slurm does not know the job any more."""
    event = ("ended", "it left the queue") if tracked.ran_on else ("gone", "Slurm no longer tells whether it ran")
    return Judgement(Next.NOTHING, _to(tracked, "done", now_s), (event,))


def _parked(tracked: TrackedJob, job: QueuedJob, now_s: float, limits: Limits) -> Judgement:
    if not is_parked(job, now_s):
        if job.reason.startswith("JobHeld") or job.priority == 0:
            return Judgement(Next.NOTHING, _to(tracked, "released", now_s), (("left", "it was held"),))
        return Judgement(Next.NOTHING, _to(tracked, "released", now_s), (("left", "its parked time ran out"),))
    clock_went_back = job.submit_s > now_s + _CLOCK_SLACK_S
    begin_s = job.start_s or now_s
    if begin_s > now_s + limits.park_s + _BEGIN_SLACK_S and not clock_went_back:
        return Judgement(
            Next.NOTHING, _to(tracked, "released", now_s), (("left", "its begin time was changed by someone"),)
        )
    if now_s - tracked.since_s > limits.max_parked_s:
        return Judgement(Next.HAND_OVER, tracked, (("released", f"parked for more than {limits.max_parked_s:g} s"),))
    return Judgement(Next.PLAN, tracked)


def _pinned(tracked: TrackedJob, job: QueuedJob, hosts_are_usable: bool, now_s: float, limits: Limits) -> Judgement:
    if set(job.req_nodes) != set(tracked.hosts):
        if not job.req_nodes and is_parked(job, now_s):
            if tracked.changed_s < limits.daemon_start_s and now_s < limits.daemon_start_s + SETTLE_S:
                return Judgement(Next.NOTHING, tracked)  # an old scontrol may still be at work
            return _again(tracked, limits, "Slurm did not take the pin")
        if tracked.state == "pinned" or job.req_nodes:
            return Judgement(
                Next.NOTHING, _to(tracked, "released", now_s), (("left", "its node list was changed by someone"),)
            )
        return Judgement(Next.NOTHING, _to(tracked, "released", now_s), (("left", "its parked time ran out"),))
    seen: tuple[Event, ...] = ()
    if tracked.state == "pinning":
        tracked, seen = _to(tracked, "pinned", tracked.changed_s), (_CONFIRMED,)
    if any(job.reason.startswith(start) for start in _PIN_IS_BAD):
        return _again(tracked, limits, f"Slurm says {job.reason}", seen)
    if any(job.reason.startswith(start) for start in _NOT_OURS):
        return Judgement(Next.HAND_OVER, tracked, (*seen, ("released", f"Slurm says {job.reason}")))
    if not hosts_are_usable:
        return _again(tracked, limits, "a planned host is taken or not up", seen)
    if now_s - tracked.changed_s > limits.start_grace_s:
        return Judgement(
            Next.HAND_OVER,
            tracked,
            (*seen, ("released", f"not started in {limits.start_grace_s:g} s, Slurm says {job.reason}")),
        )
    return Judgement(Next.NOTHING, tracked, seen)


def _again(tracked: TrackedJob, limits: Limits, reason: str, seen: tuple[Event, ...] = ()) -> Judgement:
    """Plan anew, or hand over after too many tries."""
    tried = replace(tracked, tries=tracked.tries + 1)
    if tried.tries >= limits.max_tries:
        return Judgement(Next.HAND_OVER, tried, (*seen, ("released", f"{reason}; {tried.tries} tries")))
    return Judgement(Next.PLAN, tried, (*seen, ("repair", reason)))

"""One cycle of park, plan, pin: from what Slurm says and what the journal says to lines for ``scontrol``. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.slurm.admission import Admission, admit
from planner.slurm.asks import AskMaker, Unplannable
from planner.slurm.batch import BatchAnswer, BatchPlanner, BatchRequest, KeepStart, fault_of
from planner.slurm.journal import Decision, TrackedJob
from planner.slurm.lifecycle import Judgement, Limits, Next, is_parked, judge
from planner.slurm.records import JobDetail, QueuedJob
from planner.slurm.room import Ask, Ints, Room, Taken, build_room
from planner.slurm.settings import SlurmSettings
from planner.slurm.snapshot import Snapshot
from planner.slurm.updates import PARKED, PINNED, RELEASED, merge_mark, update_line
from topologies.errors import ScaleplanError

if TYPE_CHECKING:
    from topologies.fabric import Fabric

__all__ = ["CycleOutcome", "CyclePlanner"]

MAX_ARRAY_TASKS_A_CYCLE = 64
MAX_NOTES = 20_000
PIN_MARGIN_S = 2.0  # a pin is sent only if the park lasts for so long yet, or for a quarter of park_s
_SOLVER_SHARE = 0.75  # the rest goes to reading its answer, checking it and telling Slurm
_LEAST_SOLVER_S = 0.1
_WAITS_FOR_ROOM = ("Resources", "Priority", "None")


@dataclass
class CycleOutcome:
    """What a cycle wants done: first the journal, then the host files, then the lines."""

    tracked: dict[str, TrackedJob] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    placed: dict[str, tuple[QueuedJob, tuple[str, ...]]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    num_parked: int = 0
    num_waiting: int = 0

    @property
    def lines(self) -> list[str]:
        """All lines: hand-overs first, then pins, then renewals."""
        return self.releases + self.pins + self.renewals


class CyclePlanner:
    """Decides what to do, given what Slurm says.

    Parameters
    ----------
    settings
        Ours.
    planner
        Chooses the hosts; the start it gets is best fit by leaf.
    fabric
        The network with its links, if known.
    daemon_start_s
        When this daemon started (seconds since the epoch).
    """

    def __init__(
        self,
        settings: SlurmSettings,
        planner: BatchPlanner | None = None,
        *,
        fabric: Fabric | None = None,
        daemon_start_s: float = 0.0,
    ) -> None:
        self.settings, self.planner, self.fabric = settings, planner or KeepStart(), fabric
        self.could_start_s: dict[tuple[str, int], float] = {}
        self._limits = Limits(
            settings.park_s, settings.max_parked_s, settings.max_tries, settings.start_grace_s, daemon_start_s
        )

    def run(self, snapshot: Snapshot, live: Mapping[str, TrackedJob]) -> CycleOutcome:
        """Decide one cycle.

        Parameters
        ----------
        snapshot
            What Slurm says.
        live
            Jobs of the journal that are not done, by number.
        """
        return _Cycle(self, snapshot, live).run()

    def forget_patience(self, placed: Iterable[tuple[str, int]]) -> None:
        """Drop what was noted of jobs that start now; the oldest notes too when there are very many."""
        for key in placed:
            self.could_start_s.pop(key, None)
        while len(self.could_start_s) > MAX_NOTES:
            self.could_start_s.pop(next(iter(self.could_start_s)))

    @property
    def limits(self) -> Limits:
        """What decides over a job's fate."""
        return self._limits


class _Cycle:
    """The state of one cycle."""

    def __init__(self, owner: CyclePlanner, snapshot: Snapshot, live: Mapping[str, TrackedJob]) -> None:
        self.owner, self.snap, self.live = owner, snapshot, live
        self.settings, self.now_s = owner.settings, snapshot.now_s
        self.began = time.monotonic()
        self.out = CycleOutcome()
        self.room = build_room(snapshot.nodes, snapshot.topology)
        self.index = self.room.index()
        self.maker = AskMaker(
            self.room,
            snapshot.partitions,
            snapshot.reservations,
            snapshot.config,
            self.settings,
            self.now_s,
            snapshot.partition_kinds,
        )
        self.jobs = {job.tracked_ref: job for job in snapshot.jobs}
        self.held: list[Taken] = []  # hosts of pinned jobs that Slurm has not started yet
        self.candidates: dict[str, QueuedJob] = {}
        self.refused: dict[str, tuple[str, ...]] = {}  # hosts on which Slurm did not start a job
        self.owners: dict[str, str] = {}  # task → array it is still part of

    def detail(self, job: QueuedJob) -> JobDetail:
        return self.snap.details.get(job.job_id, JobDetail())

    def run(self) -> CycleOutcome:
        for ref, tracked in self.live.items():
            self._follow(ref, tracked)
        self._find_new()
        if self.settings.mode == "observe":
            return self.out
        asks = self._asks()
        running = [self.maker.taken_by(job, self.detail(job)) for job in self.snap.jobs if job.is_running and job.nodes]
        room = self.room.with_rings(taken.hosts for taken in running).take(self.held)
        admission = admit(asks, room, running + self.held, self.now_s, is_patient=self._is_patient)
        self.owner.forget_patience(admission.placed)
        answer = self._improve(asks, admission, room)
        for ask in asks:
            if ask.is_ours:
                self._settle(ask, admission, answer.placed.get(ask.key))
        self.out.figures = dict(answer.figures) | {
            "admitted": len(admission.placed),
            "waiting": len(admission.waiting),
            "promises": len(admission.promises),
        }
        return self.out

    # ---- what has become of the jobs we know -------------------------------------------------------------------

    def _follow(self, ref: str, tracked: TrackedJob) -> None:
        job = self.jobs.get(ref) or self.snap.ended.get(ref)
        if job is None and "_" in ref:
            array = self.jobs.get(ref.partition("_")[0])
            task = int(ref.partition("_")[2])
            if array is not None and task in array.array_tasks:  # the pin that would have split it off never arrived
                job = replace(array, ref=ref, array_tasks=())
                self.owners[ref] = array.tracked_ref
        if job is not None and tracked.state in ("pinning", "pinned") and job.is_pending:
            ask = self.maker.make(job, self.detail(job))
            usable = isinstance(ask, Ask) and self._usable(tracked.hosts, ask)
        else:
            usable = True
        if job is None and "_" not in ref and self._is_split(tracked):
            self.out.tracked[ref] = replace(tracked, state="done", changed_s=self.now_s)
            self._decide(tracked, "split", "each task of the array is a job of its own now")
            return
        verdict = judge(tracked, job, hosts_are_usable=usable, now_s=self.now_s, limits=self.owner.limits)
        if verdict.next is Next.PLAN and self.settings.mode == "observe":
            verdict = Judgement(Next.HAND_OVER, verdict.job, (("released", "the planner only observes now"),))
        self._note(tracked, verdict, job)
        if job is None:
            return
        if verdict.next is Next.HAND_OVER:
            self._hand_over(job, verdict.job, "" if verdict.events else "said again")
        elif verdict.next is Next.PLAN:
            self.candidates[ref] = job
            if any(action == "repair" and reason.startswith("Slurm says") for action, reason in verdict.events):
                self.refused[ref] = tracked.hosts
        elif verdict.job.state in ("pinning", "pinned") and job.is_pending:
            ask = self.maker.make(job, self.detail(job))
            if isinstance(ask, Ask):
                self.held.append(ask.taken(self._numbers(verdict.job.hosts), self.now_s))

    def _is_split(self, tracked: TrackedJob) -> bool:
        """Whether a number that is gone was an array's, whose tasks are followed one by one."""
        if tracked.state not in ("parked", "released", "releasing"):
            return False
        others = [*self.live, *(job.ref for job in self.snap.jobs)]
        return any(other.startswith(f"{tracked.ref}_") for other in others)

    def _numbers(self, hosts: Sequence[str]) -> Ints:
        return np.array([self.index[host] for host in hosts if host in self.index], np.int64)

    def _usable(self, hosts: Sequence[str], ask: Ask) -> bool:
        numbers = self._numbers(hosts)
        return len(numbers) == len(hosts) and bool(ask.fits(self.room)[numbers].all())

    def _note(self, before: TrackedJob, verdict: Judgement, job: QueuedJob | None) -> None:
        if verdict.job != before:
            self.out.tracked[before.ref] = verdict.job
        for action, reason in verdict.events:
            clock = {}
            if job is not None and action in ("ran", "ended"):
                clock = {"started_s": job.start_s} | ({"ended_s": job.end_s} if action == "ended" else {})
            self._decide(verdict.job, action, reason, **clock)

    def _decide(self, job: TrackedJob, action: str, reason: str, **figures: object) -> None:
        hosts = job.ran_on if action in ("ran", "ended") else job.hosts
        self.out.decisions.append(Decision(self.now_s, job.ref, job.submit_s, action, hosts, reason, figures))

    def _tracked(self, ref: str) -> TrackedJob | None:
        return self.out.tracked.get(ref) or self.live.get(ref)

    # ---- new jobs ----------------------------------------------------------------------------------------------

    def _find_new(self) -> None:
        for ref, job in self.jobs.items():
            if ref in self.live or not job.is_pending:
                continue
            mark = self.detail(job).admin_comment
            if PINNED in mark and job.req_nodes and job.reason != "JobHeldUser":
                # Pinned by a daemon whose journal is gone.
                adopted = self._new(ref, job, "pinned", hosts=job.req_nodes)
                self.out.tracked[ref] = adopted
                self._decide(adopted, "adopted", "pinned before, not in the journal")
            elif PARKED in mark and is_parked(job, self.now_s) and not job.req_nodes:
                parked = self._new(ref, job, "parked")
                self.out.tracked[ref] = parked
                verdict = judge(parked, job, hosts_are_usable=True, now_s=self.now_s, limits=self.owner.limits)
                if self.settings.mode == "observe":
                    verdict = Judgement(Next.HAND_OVER, parked, (("released", "the planner only observes"),))
                self._note(parked, verdict, job)
                if verdict.next is Next.PLAN:
                    self.candidates[ref] = job
                elif verdict.next is Next.HAND_OVER:
                    self._hand_over(job, verdict.job, "")

    def _new(self, ref: str, job: QueuedJob, state: str, hosts: tuple[str, ...] = ()) -> TrackedJob:
        return TrackedJob(
            ref=ref,
            submit_s=int(job.submit_s),
            job_id=job.job_id,
            state=state,
            since_s=self.now_s,
            changed_s=self.now_s,
            hosts=hosts,
        )

    # ---- what to plan ------------------------------------------------------------------------------------------

    def _asks(self) -> list[Ask]:
        asks: list[Ask] = []
        jobs: dict[str, QueuedJob] = {}
        depth = self.settings.plan_depth
        for place, (ref, job) in enumerate(self.maker.in_order(self.candidates)):
            tracked = self._tracked(ref)
            if place >= depth and ref in self.live:  # too far back to be planned now, and looked at before
                continue
            ask = self.maker.make(job, self.detail(job), passes=tracked.passes if tracked else 0)
            if isinstance(ask, Unplannable):
                del self.candidates[ref]
                if tracked is not None:
                    self._hand_over(job, tracked, ask.reason)
                continue
            if ref in self.refused:
                ask = self._elsewhere(ask, self.refused[ref])
            for task in self._tasks(job):
                asks.append(ask if ask.ref == task else replace(ask, ref=task))
                jobs[task] = job
        for job in self.snap.jobs:
            ref = job.tracked_ref
            known = ref in self.candidates or self._is_ours(ref)
            if job.is_pending and job.reason in _WAITS_FOR_ROOM and not known and not is_parked(job, self.now_s):
                foreign = self.maker.make_foreign(job, self.detail(job))
                if foreign is not None:
                    asks.append(foreign)
                    jobs[foreign.ref] = job
        self.out.num_parked = len(self.candidates)
        return self.maker.order(asks, jobs)[:depth]

    def _elsewhere(self, ask: Ask, refused: Sequence[str]) -> Ask:
        """Keep a job off hosts that Slurm refused for a reason of its own, where others are enough."""
        others = ask.candidates.copy()
        others[self._numbers(refused)] = False
        return replace(ask, candidates=others) if np.count_nonzero(others) >= ask.num_nodes else ask

    def _is_ours(self, ref: str) -> bool:
        """Whether the journal knows it and has not handed it to Slurm."""
        tracked = self._tracked(ref)
        return tracked is not None and tracked.state != "released"

    def _tasks(self, job: QueuedJob) -> list[str]:
        """Return what is planned of a job: itself, or the next tasks of an array that may run."""
        if not job.array_tasks:
            return [job.tracked_ref]
        limit = self.detail(job).array_limit or MAX_ARRAY_TASKS_A_CYCLE
        busy = sum(
            other.array_job_id == job.array_job_id and other is not job and (other.is_running or bool(other.req_nodes))
            for other in self.snap.jobs
        )
        own = [f"{job.array_job_id}_{task}" for task in job.array_tasks[: MAX_ARRAY_TASKS_A_CYCLE * 2]]
        free = [ref for ref in own if ref not in self.live or ref in self.candidates]
        planned = [ref for ref in free if ref not in self.candidates]
        for ref in planned:
            self.owners[ref] = job.tracked_ref
        return planned[: max(0, min(limit - busy, MAX_ARRAY_TASKS_A_CYCLE))]

    def _improve(self, asks: Sequence[Ask], admission: Admission, room: Room) -> BatchAnswer:
        """Let the planner place what was admitted; its answer counts only if it is whole and within the room."""
        ours = [ask for ask in asks if ask.is_ours and ask.key in admission.placed]
        start = {ask.key: admission.placed[ask.key] for ask in ours}
        foreign = [
            ask.taken(admission.placed[ask.key], self.now_s)
            for ask in asks
            if not ask.is_ours and ask.key in admission.placed
        ]
        if not ours:
            return BatchAnswer({})
        left = room.take(foreign)
        request = BatchRequest(
            asks=ours,
            start=start,
            forbidden=admission.forbidden,
            room=left,
            fabric=self.owner.fabric,
            time_limit_s=self._solver_time_s(),
            seed=self.settings.seed,
            running=[
                (job.ref, self._numbers(job.nodes), job.gpus_per_node)
                for job in self.snap.jobs
                if job.is_running and len(job.nodes) > 1
            ],
        )
        began = time.monotonic()
        try:
            answer = self.owner.planner.plan(request)
            fault = fault_of(answer, request, self.now_s)
        except ScaleplanError as error:
            answer, fault = BatchAnswer({}), str(error)
        figures = dict(answer.figures) | {"plan_s": round(time.monotonic() - began, 4)}
        if fault:
            return BatchAnswer(start, figures | {"solver": "leaf-fit", "solver_refused": fault})
        return BatchAnswer(answer.placed, figures)

    def _is_patient(self, ask: Ask) -> bool:
        """Whether a job that could start on more leaves than it needs still waits; counted from when it first could."""
        if not self.settings.patience_s:
            return False
        first_s = self.owner.could_start_s.setdefault(ask.key, self.now_s)
        return 0 <= self.now_s - first_s < self.settings.patience_s

    def _solver_time_s(self) -> float:
        """Return what the budget leaves to the solver after reading and admission, less its own share of checking."""
        spent_s = self.snap.read_s + time.monotonic() - self.began
        return max(_LEAST_SOLVER_S, _SOLVER_SHARE * (self.settings.plan_budget_s - spent_s))

    # ---- what comes of it --------------------------------------------------------------------------------------

    def _settle(self, ask: Ask, admission: Admission, numbers: Ints | None) -> None:
        job = self.candidates.get(ask.ref) or self.candidates[self.owners[ask.ref]]
        tracked = self._tracked(ask.ref) or self._new(ask.ref, job, "parked")
        if numbers is None:
            self._wait(ask, job, tracked, admission.waiting.get(ask.key, "not placed by the solver"), admission)
            return
        if self._is_nearly_due(job):
            self._wait(ask, job, tracked, "its parked time is nearly over; renewed first", admission)
            self.out.renewals.append(update_line(job.ref, start_in_s=self.settings.park_s))
            return
        hosts = tuple(self.room.hosts[i] for i in numbers)
        leaves = len(set(self.room.leaf[numbers].tolist()))
        state, action = ("pinning", "pin") if self.settings.mode == "pin" else ("preferred", "prefer")
        placed = replace(tracked, state=state, hosts=hosts, changed_s=self.now_s, passes=0)
        self.out.tracked[ask.ref] = placed
        figures = {"leaves": leaves} | ({"unread_words": len(ask.intent.unread)} if ask.intent.unread else {})
        self._decide(placed, action, f"{len(hosts)} hosts on {leaves} leaf switches or blocks", **figures)
        self.out.placed[ask.ref] = (job, hosts)
        mark = merge_mark(self.detail(job).admin_comment, PINNED)
        if job.priority == 0 and job.req_nodes:  # topology/block refused the old pin and holds the job until it is off
            self.out.pins.append(update_line(ask.ref, hosts=[]))
        if self.settings.mode == "pin":
            self.out.pins.append(update_line(ask.ref, hosts=hosts, mark=mark, start_in_s=0))
        else:
            self.out.pins.append(
                update_line(
                    ask.ref,
                    hosts=[] if job.req_nodes else None,
                    mark=mark,
                    start_in_s=0,
                    prefer=_common_feature(self.room, numbers) if not job.features else None,
                    switches=f"{leaves}@{self.settings.start_grace_s}"
                    if self.snap.topology.kind == "tree" and not self.detail(job).max_switches
                    else None,
                )
            )

    def _is_nearly_due(self, job: QueuedJob) -> bool:
        """Whether Slurm may start a parked job by itself before a pin reaches it."""
        if not is_parked(job, self.now_s):
            return False
        now_s = self.now_s + time.monotonic() - self.began
        return (job.start_s or now_s) - now_s < min(PIN_MARGIN_S, self.settings.park_s / 4)

    def _wait(self, ask: Ask, job: QueuedJob, tracked: TrackedJob, reason: str, admission: Admission) -> None:
        """Keep a job parked that does not start now; take a pin off it that failed."""
        self.out.num_waiting += 1
        after = replace(tracked, passes=tracked.passes + (ask.key in admission.passed_over))
        if tracked.state != "parked":
            after = replace(after, state="parked", hosts=(), changed_s=self.now_s)
            mark = merge_mark(self.detail(job).admin_comment, PARKED)
            self.out.pins.append(update_line(ask.ref, hosts=[], mark=mark, start_in_s=self.settings.park_s))
            self._decide(after, "parked again", reason)
        if ask.ref in self.live or ask.ref in self.out.tracked:
            if after != self._tracked(ask.ref):
                self.out.tracked[ask.ref] = after
            if ask.ref not in self.live or after.state != self.live[ask.ref].state:
                self._decide(after, "waits", reason)

    def _hand_over(self, job: QueuedJob, tracked: TrackedJob, reason: str) -> None:
        """Give a job to Slurm: no node list, start when it can."""
        after = replace(tracked, state="releasing", changed_s=self.now_s)
        self.out.tracked[tracked.ref] = after
        if tracked.state != "releasing" and reason:
            self._decide(after, "released", reason)
        mark = merge_mark(self.detail(job).admin_comment, RELEASED)
        held = job.priority == 0 and job.reason.startswith("JobHeld")
        self.out.releases.append(update_line(job.ref, hosts=[], mark=mark, start_in_s=None if held else 0))


def _common_feature(room: Room, numbers: Ints) -> str | None:
    """Return the rarest feature that all hosts of a plan share and some other host lacks."""
    shared = frozenset.intersection(*(room.features[i] for i in numbers)) if room.features else frozenset()
    counts = {feature: sum(feature in features for features in room.features) for feature in shared}
    rare = sorted((count, feature) for feature, count in counts.items() if count < len(room.hosts))
    return rare[0][1] if rare else None

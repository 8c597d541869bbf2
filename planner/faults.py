"""In how many ways a placement is no answer to its problem: one function a rule, each fault in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from planner.job import Job, Reach
from planner.sharing import mig_fits, mig_profile, mig_slices
from planner.state import Availability
from topologies.fabric import Int64s

if TYPE_CHECKING:
    from planner.placement import Placement
    from planner.problem import Problem

__all__ = ["placement_faults"]

_TOLD = 3
_SLACK_FRAC = 1e-9
_REACH_WORDS: dict[Reach, str] = {"host": "host", "leaf": "leaf group", "pod": "pod"}


def placement_faults(problem: Problem, placement: Placement) -> list[str]:
    """Return every way in which this is no answer to the problem, in words; empty if it is one."""
    used = placement.used
    num = problem.fabric.num_accelerators
    if len(used) and not 0 <= used.min() <= used.max() < num:
        wrong = int(used.max() if used.max() >= num else used.min())
        return [f"accelerator number {wrong} of {num}"]
    unknown = [job_id for job_id in placement if job_id not in problem.job_idx]
    if unknown:
        return [f"job {job_id!r} is not in the problem" for job_id in unknown]
    look = _Look(problem, placement)
    faults = [*_twice(look), *_parts(look), *_running(look)]
    for job in look.jobs:
        faults += [fault for rule in _JOB_RULES for fault in rule(look, job)]
    return [*faults, *_isolation(look), *_anti_affinity(look)]


class _Look:
    """A problem and a placement, with what several rules need."""

    def __init__(self, problem: Problem, placement: Placement) -> None:
        self.problem, self.placement, self.fabric = problem, placement, problem.fabric
        self.jobs = [job for job in problem.jobs if job.id in placement]

    def ranks(self, job: Job) -> Int64s:
        return self.placement.ranks[job.id]

    def spares(self, job: Job) -> Int64s:
        return self.placement.spares.get(job.id, np.empty(0, np.int64))

    def all_of(self, job: Job) -> Int64s:
        return np.concatenate([self.ranks(job), self.spares(job)])

    def name(self, accelerator: int) -> str:
        return repr(self.fabric.node_names[accelerator])

    @cached_property
    def hosts(self) -> dict[str, Int64s]:
        """Hosts of each job with its spare ones."""
        host = self.fabric.accelerator_host
        return {job.id: np.unique(host[self.all_of(job)]).astype(np.int64) for job in self.jobs}

    @cached_property
    def is_broken_up(self) -> npt.NDArray[np.bool_]:
        """Whether an accelerator of each host is not free before anything is placed, ``(num_hosts,)``."""
        host = self.fabric.accelerator_host[~self.problem.state.free]
        return np.bincount(host, minlength=self.fabric.num_hosts) > 0

    @cached_property
    def jobs_on_host(self) -> Int64s:
        """How many jobs are on each host, those already there counted as one, ``(num_hosts,)``."""
        count = self.problem.host_is_used.astype(np.int64)
        for hosts in self.hosts.values():
            count[hosts] += 1
        return count


def _twice(look: _Look) -> Iterator[str]:
    whole = [look.all_of(job) for job in look.jobs if not job.is_part]
    part = [np.unique(look.ranks(job)) for job in look.jobs if job.is_part]
    num = look.fabric.num_accelerators
    times = np.bincount(np.concatenate([*whole, np.empty(0, np.int64)]), minlength=num)
    shared = np.bincount(np.concatenate([*part, np.empty(0, np.int64)]), minlength=num) > 0
    for accelerator in np.flatnonzero(times + shared > 1)[:_TOLD].tolist():
        if times[accelerator] > 1:
            yield f"accelerator {look.name(accelerator)} is used {times[accelerator]} times"
        else:
            yield f"accelerator {look.name(accelerator)} is used as a whole and in parts"


def _parts(look: _Look) -> Iterator[str]:
    """Parts of one accelerator fit on it: shares and their memory add up to one at most, MIG slices can be laid."""
    on: dict[int, list[Job]] = defaultdict(list)
    for job in look.jobs:
        if job.is_part:
            for accelerator in look.ranks(job).tolist():
                on[accelerator].append(job)
    left = look.problem.state.free_frac
    memory = look.fabric.accelerator_memory_bytes
    for accelerator, jobs in on.items():
        profiles = [mig_profile(job.mig_profile) for job in jobs if job.mig_profile]
        if profiles:
            slices = [mig_slices(profile, float(memory[accelerator])) for profile in profiles]
            known = [s for s in slices if s is not None]
            if len(profiles) < len(jobs) or left[accelerator] < 1:
                yield f"accelerator {look.name(accelerator)} is cut by MIG and shared otherwise too"
            elif len(known) < len(slices) or not mig_fits(known):
                names = ", ".join(job.mig_profile for job in jobs)
                yield f"accelerator {look.name(accelerator)} cannot hold the MIG profiles {names} at once"
            continue
        if sum(job.share_frac for job in jobs) > left[accelerator] + _SLACK_FRAC:
            yield f"accelerator {look.name(accelerator)} is shared beyond the {left[accelerator]:g} that is left of it"
        needed = sum(job.memory_bytes or job.share_frac * memory[accelerator] for job in jobs)
        if np.isfinite(memory[accelerator]) and needed > (left[accelerator] + _SLACK_FRAC) * memory[accelerator]:
            yield f"accelerator {look.name(accelerator)} has less memory than its parts need"


def _running(look: _Look) -> Iterator[str]:
    for job_id, accelerators in look.problem.running.items():
        job = look.problem.jobs[look.problem.job_idx[job_id]]
        if job_id not in look.placement:
            yield f"job {job_id!r} runs and is left out"
        elif not job.movable and not np.array_equal(look.ranks(job), accelerators):
            yield f"job {job_id!r} runs, may not move and is moved"


def _size(look: _Look, job: Job) -> Iterator[str]:
    num = len(look.ranks(job))
    if num != job.accelerators:
        yield f"job {job.id!r} has {num} accelerators and asks for {job.accelerators}"
    elif job.is_part and len(np.unique(look.ranks(job))) < num:
        yield f"job {job.id!r} has two parts of one accelerator"


def _free(look: _Look, job: Job) -> Iterator[str]:
    accelerators, state = look.all_of(job), look.problem.state
    is_free = state.free_frac > 0 if job.is_part else state.free
    busy = accelerators[~is_free[accelerators]]
    if len(busy):
        availability = Availability(state.availability[busy[0]])
        what = "shared" if availability is Availability.FREE else availability.name.lower()
        yield f"job {job.id!r} uses accelerator {look.name(int(busy[0]))}, which is {what}"


def _kinds(look: _Look, job: Job) -> Iterator[str]:
    if not look.problem.accepts(job)[look.all_of(job)].all():
        yield f"job {job.id!r} does not accept the kind or memory of an accelerator it uses"


def _per_host(look: _Look, job: Job) -> Iterator[str]:
    _, per_host = np.unique(look.fabric.accelerator_host[look.all_of(job)], return_counts=True)
    if job.accelerators_per_host is not None and (per_host != job.accelerators_per_host).any():
        yield f"job {job.id!r} wants {job.accelerators_per_host} accelerators a host"


def _domains(look: _Look, job: Job) -> Iterator[str]:
    domain = look.fabric.accelerator_domain[look.ranks(job)]
    if job.same_domain and len(np.unique(domain)) > 1:
        yield f"job {job.id!r} wants one scale-up domain"
    if job.domain_group > 1 and len(domain) == job.accelerators:
        groups = domain.reshape(-1, job.domain_group)
        if (groups != groups[:, :1]).any():
            yield f"job {job.id!r} wants every {job.domain_group} ranks in one scale-up domain"


def _exclusive(look: _Look, job: Job) -> Iterator[str]:
    if not job.exclusive:
        return
    hosts = look.hosts[job.id]
    if (look.jobs_on_host[hosts] > 1).any():
        yield f"job {job.id!r} wants its hosts to itself"
    elif look.is_broken_up[hosts].any():
        yield f"job {job.id!r} wants whole hosts, and not all accelerators of one are free"


def _spread(look: _Look, job: Job) -> Iterator[str]:
    hosts = np.unique(look.fabric.accelerator_host[look.ranks(job)])
    for limit, groups, what in (
        (job.max_leaf_groups, look.fabric.host_leaf_group, "leaf groups"),
        (job.max_pods, look.fabric.host_pod, "pods"),
    ):
        spread = len(np.unique(groups[hosts]))
        if limit is not None and spread > limit:
            yield f"job {job.id!r} is spread over {spread} {what} and allows {limit}"


def _segments(look: _Look, job: Job) -> Iterator[str]:
    if job.segment_hosts is None:
        return
    hosts = np.unique(look.fabric.accelerator_host[look.ranks(job)])
    _, a_leaf = np.unique(look.fabric.host_leaf_group[hosts], return_counts=True)
    odd = a_leaf[a_leaf % job.segment_hosts > 0]
    if len(odd):
        yield f"job {job.id!r} has {odd[0]} hosts in a leaf group and wants segments of {job.segment_hosts}"


def _spares(look: _Look, job: Job) -> Iterator[str]:
    host, spares = look.fabric.accelerator_host, look.spares(job)
    if np.isin(host[spares], host[look.ranks(job)]).any():
        yield f"job {job.id!r} has a spare host that it runs on"
    if not job.spare_hosts:
        if len(spares):
            yield f"job {job.id!r} holds spare hosts and asks for none"
        return
    group = look.problem.host_group(job.spare_reach)
    held = np.bincount(group[np.unique(host[spares])], minlength=int(group.max()) + 1)
    short = [g for g in np.unique(group[host[look.ranks(job)]]).tolist() if held[g] < job.spare_hosts]
    if short:
        yield (
            f"job {job.id!r} holds {held[short[0]]} spare hosts in a {_REACH_WORDS[job.spare_reach]} it uses and wants "
            f"{job.spare_hosts}"
        )


_JOB_RULES: tuple[Callable[[_Look, Job], Iterator[str]], ...] = (
    _size,
    _free,
    _kinds,
    _per_host,
    _domains,
    _exclusive,
    _spread,
    _segments,
    _spares,
)


def _groups_of(look: _Look, job: Job, group: npt.NDArray[np.integer]) -> list[int]:
    return [int(number) for number in np.unique(group[look.hosts[job.id]])]


def _isolation(look: _Look) -> Iterator[str]:
    """No tenant beside an isolated one; whoever is there already is nobody's known tenant."""
    for reach in dict.fromkeys(job.isolation for job in look.jobs if job.isolation):
        group = look.problem.host_group(reach)
        strangers = set(np.unique(group[look.problem.host_is_used]).tolist())
        tenants: dict[int, set[str]] = defaultdict(set)
        for job in look.jobs:
            for g in _groups_of(look, job, group):
                tenants[g].add(job.tenant)
        for job in look.jobs:
            if job.isolation == reach and any(
                g in strangers or len(tenants[g]) > 1 for g in _groups_of(look, job, group)
            ):
                yield f"job {job.id!r} shares a {_REACH_WORDS[reach]} with another tenant and wants isolation"


def _anti_affinity(look: _Look) -> Iterator[str]:
    """No two jobs of one label in one host, leaf group or pod."""
    seen: dict[tuple[str, int], str] = {}
    for job in look.jobs:
        if not job.anti_affinity:
            continue
        reach = job.anti_affinity_reach
        for g in _groups_of(look, job, look.problem.host_group(reach)):
            other = seen.setdefault((job.anti_affinity, g), job.id)
            if other != job.id:
                yield f"jobs {other!r} and {job.id!r} share a {_REACH_WORDS[reach]} and must not"
                break

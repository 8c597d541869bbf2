"""`Placement`: which accelerators each job gets, in rank order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.problem import Problem
from planner.state import Availability
from topologies.errors import InputError
from topologies.fabric import Int64s

__all__ = ["Placement"]


@dataclass(frozen=True, eq=False)
class Placement:
    """Job id → accelerators in rank order. A job that is not placed does not stand in it.

    Rank ``r`` of a job runs on ``ranks[job_id][r]``. Rank order is part of the answer: neighbouring ranks are
    neighbours in a ring.
    """

    ranks: Mapping[str, Int64s] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen: dict[str, Int64s] = {}
        for job_id, accelerators in self.ranks.items():
            array = np.array(accelerators, np.int64)
            array.setflags(write=False)
            frozen[job_id] = array
        object.__setattr__(self, "ranks", MappingProxyType(frozen))

    def __len__(self) -> int:
        return len(self.ranks)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranks)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self.ranks

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        return self.ranks.keys() == other.ranks.keys() and all(
            np.array_equal(a, other.ranks[job_id]) for job_id, a in self.ranks.items()
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def used(self) -> Int64s:
        """All accelerators in use, in no order."""
        return np.concatenate([*self.ranks.values(), np.empty(0, np.int64)])

    def faults(self, problem: Problem) -> list[str]:
        """Return every way in which this is no answer to the problem, in words; empty if it is one."""
        fabric, faults = problem.fabric, []
        used = self.used
        if len(used) and (used.min() < 0 or used.max() >= fabric.num_accelerators):
            return [f"accelerator number {int(used.max())} of {fabric.num_accelerators}"]
        times_used = np.bincount(used, minlength=fabric.num_accelerators)
        for accelerator in np.flatnonzero(times_used > 1)[:3]:
            faults.append(f"accelerator {fabric.node_names[accelerator]!r} is used {times_used[accelerator]} times")
        host_jobs = _jobs_by_host(problem, self)
        for job_id, accelerators in self.ranks.items():
            if job_id not in problem.job_idx:
                faults.append(f"job {job_id!r} is not in the problem")
                continue
            faults += _job_faults(problem, problem.job_idx[job_id], accelerators, host_jobs)
        return faults

    def check(self, problem: Problem) -> None:
        """Refuse a placement that is no answer to the problem.

        Raises
        ------
        InputError
            With the first fault, and how many more there are.
        """
        faults = self.faults(problem)
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise InputError(
                what="the placement does not fit the problem", where=problem.fabric.name, found=faults[0] + more
            )


def _jobs_by_host(problem: Problem, placement: Placement) -> npt.NDArray[np.int64]:
    """Return how many jobs run on each host, those already there counted as one each, ``(num_hosts,)``."""
    fabric = problem.fabric
    taken = problem.state.availability == Availability.TAKEN
    count = (np.bincount(fabric.accelerator_host[taken], minlength=fabric.num_hosts) > 0).astype(np.int64)
    for accelerators in placement.ranks.values():
        count[np.unique(fabric.accelerator_host[accelerators])] += 1
    return count


def _job_faults(problem: Problem, job_idx: int, accelerators: Int64s, host_jobs: npt.NDArray[np.int64]) -> list[str]:
    """Return what is wrong with one job's accelerators, in words."""
    job, fabric, state = problem.jobs[job_idx], problem.fabric, problem.state
    who, faults = f"job {job.id!r}", []
    if len(accelerators) != job.accelerators:
        faults.append(f"{who} has {len(accelerators)} accelerators and asks for {job.accelerators}")
    busy = accelerators[~state.free[accelerators]]
    if len(busy):
        what = Availability(state.availability[busy[0]]).name.lower()
        faults.append(f"{who} uses accelerator {fabric.node_names[busy[0]]!r}, which is {what}")
    if not problem.accepts(job)[accelerators].all():
        faults.append(f"{who} does not accept the kind or memory of an accelerator it uses")
    hosts, per_host = np.unique(fabric.accelerator_host[accelerators], return_counts=True)
    if job.accelerators_per_host is not None and (per_host != job.accelerators_per_host).any():
        faults.append(f"{who} wants {job.accelerators_per_host} accelerators a host")
    if job.same_domain and len(np.unique(fabric.accelerator_domain[accelerators])) > 1:
        faults.append(f"{who} wants one scale-up domain")
    if job.exclusive and (host_jobs[hosts] > 1).any():
        faults.append(f"{who} wants its hosts to itself")
    for limit, groups, what in (
        (job.max_leaf_groups, fabric.host_leaf_group, "leaf groups"),
        (job.max_pods, fabric.host_pod, "pods"),
    ):
        spread = len(np.unique(groups[hosts]))
        if limit is not None and spread > limit:
            faults.append(f"{who} is spread over {spread} {what} and allows {limit}")
    return faults

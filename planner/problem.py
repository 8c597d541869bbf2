"""`Problem`: a fabric, its state, jobs and an objective, validated once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.job import Job, Reach
from planner.objective import Objective
from planner.sharing import mig_profile, mig_slices
from planner.state import Availability, ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric, Int32s, Int64s
from topologies.routing.named import routing_named
from topologies.routing.network import Routing
from topologies.routing.static import NextHops

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """What a solver is asked.

    Attributes
    ----------
    fabric, state, jobs
        Where, what is free there, and what to place.
    objective
        What "better" means.
    routing
        Name of the routing by which congestion is scored.
    routes
        The switches' tables, for the routing ``static``.
    running
        Jobs of the batch that run already: id → accelerators in rank order, which `state` counts as free. They stay
        where they are, or move if they are movable; none is ever left out.
    expected
        Demand to come, for which room should stay whole: (accelerators on one host, how often) pairs; empty stands for
        more of the same batch.

    Raises
    ------
    InputError
        If two jobs share an id, a job asks for more accelerators or another kind than the fabric has at all, or the
        state is that of another fabric; or if running jobs are unknown or stand on accelerators that are not theirs.
    """

    fabric: Fabric
    state: ClusterState
    jobs: tuple[Job, ...]
    objective: Objective = field(default_factory=Objective)
    routing: str = "spray"
    routes: NextHops | None = None
    running: Mapping[str, Int64s] = field(default_factory=dict)
    expected: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        self.routing_at(0)
        if len(self.state.availability) != self.fabric.num_accelerators:
            raise InputError(
                what="the state belongs to another fabric",
                where=self.fabric.name,
                found=f"{len(self.state.availability)} accelerators in the state",
                allowed=f"{self.fabric.num_accelerators}",
            )
        twice = [job_id for job_id, count in Counter(job.id for job in self.jobs).items() if count > 1]
        if twice:
            raise InputError(what="two jobs of one id", found=repr(twice[0]), fix="give each job its own id")
        part_ids = {part.id for part in self.fabric.parts}
        for job in self.jobs:
            exist = int(np.count_nonzero(self.accepts(job)))
            if job.accelerators > exist:
                raise InputError(
                    what="a job asks for more accelerators than the fabric has"
                    if exist == self.fabric.num_accelerators
                    else "a job asks for more accelerators of its kinds and memory than the fabric has",
                    where=f"job {job.id!r}",
                    found=job.accelerators,
                    allowed=f"at most {exist} on {self.fabric.name} (kinds there: {', '.join(sorted(part_ids))})",
                    fix="ask for fewer, or for another kind",
                )
        self._check_labels()
        self._check_running()

    def _check_labels(self) -> None:
        reach_of: dict[str, Reach] = {}
        for job in self.jobs:
            if job.anti_affinity and reach_of.setdefault(job.anti_affinity, job.anti_affinity_reach) != (
                job.anti_affinity_reach
            ):
                raise InputError(
                    what="jobs of one anti_affinity label must agree how far it reaches",
                    where=f"job {job.id!r}",
                    found=job.anti_affinity_reach,
                    allowed=reach_of[job.anti_affinity],
                )

    def _check_running(self) -> None:
        running: dict[str, Int64s] = {}
        seen = np.zeros(self.fabric.num_accelerators, bool)
        for job_id, accelerators in self.running.items():
            where = f"running job {job_id!r}"
            if job_id not in self.job_idx:
                raise InputError(what="a running job is none of the batch", where=where)
            array = np.array(accelerators, np.int64)
            array.setflags(write=False)
            job = self.jobs[self.job_idx[job_id]]
            if job.is_part or job.spare_hosts:
                raise InputError(
                    what="a running job of the batch has whole accelerators and no spare hosts",
                    where=where,
                    fix="state its parts as used, and its spare hosts as reserved",
                )
            if len(array) and not 0 <= array.min() <= array.max() < self.fabric.num_accelerators:
                raise InputError(what="no such accelerator", where=where, found=int(array.max()))
            if len(array) != job.accelerators or len(np.unique(array)) != len(array):
                raise InputError(
                    what="a running job has other accelerators than it asks for",
                    where=where,
                    found=len(np.unique(array)),
                    allowed=job.accelerators,
                )
            if seen[array].any() or not self.state.free[array].all():
                raise InputError(
                    what="a running job stands on accelerators that are not free for it",
                    where=where,
                    found=self.fabric.node_names[int(array[(seen | ~self.state.free)[array]][0])],
                )
            seen[array] = True
            running[job_id] = array
        object.__setattr__(self, "running", MappingProxyType(running))

    @cached_property
    def live_fabric(self) -> Fabric:
        """The fabric with the links that are degraded now."""
        return self.state.degraded(self.fabric)

    def routing_at(self, seed: int) -> Routing:
        """Return the routing, with `seed` for its hashes.

        Raises
        ------
        InputError
            If there is no such routing, or it lacks its tables.
        """
        return routing_named(self.routing, seed=seed, routes=self.routes)

    @cached_property
    def host_is_used(self) -> npt.NDArray[np.bool_]:
        """Which hosts hold somebody who is not in the batch, ``(num_hosts,)``."""
        taken = self.state.availability == Availability.TAKEN
        if self.state.used_frac is not None:
            taken = taken | (self.state.used_frac > 0)
        return np.bincount(self.fabric.accelerator_host[taken], minlength=self.fabric.num_hosts) > 0

    def host_group(self, reach: Reach) -> Int32s | Int64s:
        """Return the number of each host's host, leaf group or pod, ``(num_hosts,)``."""
        fabric = self.fabric
        if reach == "host":
            return np.arange(fabric.num_hosts)
        return fabric.host_leaf_group if reach == "leaf" else fabric.host_pod

    @cached_property
    def job_idx(self) -> dict[str, int]:
        """Job id → index into `jobs`."""
        return {job.id: i for i, job in enumerate(self.jobs)}

    @cached_property
    def _accepted(self) -> dict[tuple[object, ...], npt.NDArray[np.bool_]]:
        return {}

    def accepts(self, job: Job) -> npt.NDArray[np.bool_]:
        """Return which accelerators have a kind and a memory the job accepts, free or not, ``(num_accelerators,)``."""
        key = (job.kinds, job.memory_bytes, job.mig_profile)
        if key not in self._accepted:
            fabric = self.fabric
            part_ok = np.array([not job.kinds or part.id in job.kinds for part in fabric.parts] + [not job.kinds])
            mask = part_ok[fabric.node_part[: fabric.num_accelerators]]
            mask &= fabric.accelerator_memory_bytes >= job.memory_bytes
            if job.mig_profile:
                profile = mig_profile(job.mig_profile)
                has_profile = np.array(
                    [mig_slices(profile, part.number("memory_bytes", np.inf)) is not None for part in fabric.parts]
                    + [False]
                )
                mask &= has_profile[fabric.node_part[: fabric.num_accelerators]]
            mask.setflags(write=False)
            self._accepted[key] = mask
        return self._accepted[key]

"""`Problem`: a fabric, its state, jobs and an objective, validated once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.objective import Objective
from planner.state import ClusterState
from topologies.errors import InputError
from topologies.fabric import Fabric

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

    Raises
    ------
    InputError
        If two jobs share an id, a job asks for more accelerators or another kind than the fabric has at all, or the
        state is that of another fabric.
    """

    fabric: Fabric
    state: ClusterState
    jobs: tuple[Job, ...]
    objective: Objective = field(default_factory=Objective)
    routing: str = "spray"

    def __post_init__(self) -> None:
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

    @cached_property
    def job_idx(self) -> dict[str, int]:
        """Job id → index into `jobs`."""
        return {job.id: i for i, job in enumerate(self.jobs)}

    @cached_property
    def _accepted(self) -> dict[tuple[tuple[str, ...], int], npt.NDArray[np.bool_]]:
        return {}

    def accepts(self, job: Job) -> npt.NDArray[np.bool_]:
        """Return which accelerators have a kind and a memory the job accepts, free or not, ``(num_accelerators,)``."""
        key = (job.kinds, job.memory_bytes)
        if key not in self._accepted:
            fabric = self.fabric
            part_ok = np.array([not job.kinds or part.id in job.kinds for part in fabric.parts] + [not job.kinds])
            mask = part_ok[fabric.node_part[: fabric.num_accelerators]]
            mask &= fabric.accelerator_memory_bytes >= job.memory_bytes
            mask.setflags(write=False)
            self._accepted[key] = mask
        return self._accepted[key]

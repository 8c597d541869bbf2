"""Job files: what is to be placed, ``schema_version: 1``."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from planner.collectives.traffic import Demand
from planner.job import Job
from topologies.files.loading import load_document
from topologies.files.validated import RuleError, StrictModel, validate
from topologies.units import from_gib, parse_bytes

__all__ = ["JobEntry", "JobsFile", "load_jobs"]

_MAX_JOBS = 100_000


def _size(value: Any) -> Any:
    """Read a size such as 4GiB; whole numbers are bytes."""
    if isinstance(value, str):
        from topologies.errors import InputError

        try:
            return parse_bytes(value)
        except InputError as error:
            raise RuleError(what=error.what, found=error.found, allowed=error.allowed, fix=error.fix) from None
    return value


class TrafficEntry(StrictModel):
    """The collective that a job runs every step."""

    collective: Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast", "send-recv"] = Field(
        "all-reduce", description="which collective"
    )
    algorithm: Literal["ring", "hierarchical"] = Field("hierarchical", description="how it runs")
    size: Annotated[int, BeforeValidator(_size)] = Field(
        ge=0, le=2**63 - 1, description="payload as nccl-tests states it, in bytes or as in 4GiB"
    )


class JobEntry(StrictModel):
    """One job, or `count` alike ones called id-0, id-1 and so on."""

    id: str = Field(min_length=1, max_length=10_000, description="unique name")
    count: int = Field(1, ge=1, le=_MAX_JOBS, description="how many alike jobs; more than one get -0, -1 … appended")
    accelerators: int = Field(ge=1, le=2**31 - 1, description="how many accelerators, all at once")
    accelerators_per_host: int | None = Field(None, ge=1, description="exactly so many on every host it uses")
    memory_gib: float = Field(0.0, ge=0, description="memory each accelerator must have")
    kinds: list[str] = Field(default_factory=list, description="ids of the accelerator parts it accepts; none: all")
    tenant: str = Field("", max_length=10_000, description="who pays")
    priority: float = Field(1.0, gt=0, description="weight of one of its accelerators")
    same_domain: bool = Field(False, description="all its accelerators in one scale-up domain")
    exclusive: bool = Field(False, description="nobody else on its hosts")
    max_leaf_groups: int | None = Field(None, ge=1, description="spread over at most so many leaf groups")
    max_pods: int | None = Field(None, ge=1, description="spread over at most so many pods")
    traffic: TrafficEntry | None = Field(None, description="what it sends every step")
    compute_ms: float = Field(0.0, ge=0, description="time a step computes with the network silent")
    preferred_kinds: list[str] = Field(default_factory=list, description="those of its kinds it should get if it can")
    share: float = Field(1.0, gt=0, le=1, description="part of each accelerator it needs; memory_gib counts per part")
    mig_profile: str = Field("", max_length=20, description="MIG profile on each accelerator, as in 3g.40gb")
    domain_group: int = Field(1, ge=1, description="so many ranks in a row share one scale-up domain (TP, EP groups)")
    pipeline: int = Field(1, ge=1, description="pipeline stages")
    segment_hosts: int | None = Field(None, ge=1, description="a multiple of so many hosts in each leaf group")
    anti_affinity: str = Field("", max_length=10_000, description="label: jobs of one label keep apart")
    anti_affinity_reach: Literal["host", "leaf", "pod"] = Field("host", description="what such jobs never share")
    isolation: Literal["host", "leaf", "pod"] | None = Field(None, description="no other tenant in these that it uses")
    spare_hosts: int = Field(0, ge=0, description="idle hosts held in each leaf group, or pod, that it uses")
    spare_reach: Literal["leaf", "pod"] = Field("leaf", description="failure domain that spare hosts are counted in")
    movable: bool = Field(False, description="may move if it runs already")
    move_cost: float = Field(1.0, ge=0, description="what a move costs for each of its accelerators")
    duration_s: float | None = Field(None, gt=0, description="how long it runs with the network to itself")
    deadline_s: float | None = Field(None, gt=0, description="when from now it must be done")

    def jobs(self) -> list[Job]:
        """Return the job, or the alike jobs, that this entry stands for."""
        traffic = self.traffic
        demand = None if traffic is None else Demand(traffic.size, traffic.collective, traffic.algorithm)
        ids = [self.id] if self.count == 1 else [f"{self.id}-{i}" for i in range(self.count)]
        return [
            Job(
                id=job_id,
                accelerators=self.accelerators,
                accelerators_per_host=self.accelerators_per_host,
                memory_bytes=from_gib(self.memory_gib),
                kinds=tuple(self.kinds),
                tenant=self.tenant,
                priority=self.priority,
                same_domain=self.same_domain,
                exclusive=self.exclusive,
                max_leaf_groups=self.max_leaf_groups,
                max_pods=self.max_pods,
                traffic=demand,
                compute_s=self.compute_ms * 1e-3,
                preferred_kinds=tuple(self.preferred_kinds),
                share_frac=self.share,
                mig_profile=self.mig_profile,
                domain_group=self.domain_group,
                pipeline=self.pipeline,
                segment_hosts=self.segment_hosts,
                anti_affinity=self.anti_affinity,
                anti_affinity_reach=self.anti_affinity_reach,
                isolation=self.isolation,
                spare_hosts=self.spare_hosts,
                spare_reach=self.spare_reach,
                movable=self.movable,
                move_cost=self.move_cost,
                duration_s=self.duration_s,
                deadline_s=self.deadline_s,
            )
            for job_id in ids
        ]


class JobsFile(StrictModel):
    """A batch of jobs."""

    schema_version: Literal[1] = Field(description="version of this file's language")
    description: str = Field("", description="for people")
    source: str = Field("", description="where the jobs come from")
    licence: str = Field("", description="licence of that source")
    assumptions: list[str] = Field(default_factory=list, description="what does not stand in the source")
    jobs: list[JobEntry] = Field(min_length=1, max_length=_MAX_JOBS, description="the jobs")


def load_jobs(path: str | os.PathLike[str]) -> tuple[Job, ...]:
    """Return the jobs of a file.

    Raises
    ------
    InputError
        If the file cannot be read, breaks the schema, or has two jobs of one id.
    """
    from topologies.errors import InputError

    document = load_document(path)
    parsed = validate(JobsFile, document)
    jobs: list[Job] = []
    seen: set[str] = set()
    for i, entry in enumerate(parsed.jobs):
        try:
            made = entry.jobs()
        except InputError as error:
            raise document.error(
                ("jobs", i), what=error.what, found=error.found, allowed=error.allowed, fix=error.fix
            ) from None
        twice = next((job.id for job in made if job.id in seen), None)
        if twice is not None:
            raise document.error(
                ("jobs", i, "id"), what="two jobs of one id", found=repr(twice), fix="give each job its own id"
            )
        seen.update(job.id for job in made)
        jobs += made
        if len(jobs) > _MAX_JOBS:
            raise document.error(("jobs", i), what="too many jobs", found=len(jobs), allowed=f"at most {_MAX_JOBS}")
    return tuple(jobs)

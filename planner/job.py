"""`Job`: what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from planner.collectives.traffic import Demand
from planner.sharing import mig_profile
from topologies.errors import InputError

__all__ = ["Job", "Reach"]

_MAX_ACCELERATORS = 2**31 - 1

Reach = Literal["host", "leaf", "pod"]
"""How far a rule reaches: one host, one leaf group, one pod."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one job asks for.

    Attributes
    ----------
    id
        Unique in its batch. Text from a user: data everywhere.
    accelerators
        How many accelerators, all at once (a gang).
    accelerators_per_host
        Exactly so many on every host it uses; None leaves the split open.
    memory_bytes
        Memory that each accelerator must have.
    kinds
        Ids of the accelerator parts it accepts; empty accepts all.
    tenant
        Who pays.
    priority
        Weight of one of its accelerators in the objective, above 0.
    same_domain
        True if all its accelerators must share one scale-up domain.
    exclusive
        True if it takes whole hosts: all accelerators of a host that it uses are free, and nobody else runs there.
    max_leaf_groups, max_pods
        Spread limits; None leaves it open.
    preferred_kinds
        Those of its kinds that it should get where it can; empty: it does not mind.
    share_frac
        Part of each of its accelerators that it needs, above 0 and at most 1; `memory_bytes` then counts per part, and
        0 stands for the same part of the memory.
    mig_profile
        MIG profile it needs on each of its accelerators, as ``3g.40gb``; empty: none.
    domain_group
        So many ranks that follow each other must share one scale-up domain (tensor- or expert-parallel groups).
    pipeline
        Pipeline stages: rank = (replica × pipeline + stage) × domain_group + place in the group.
    segment_hosts
        It uses a multiple of so many hosts in each leaf group (Slurm's ``--segment``); None leaves it open.
    anti_affinity, anti_affinity_reach
        Jobs of one label never share a host, leaf group or pod; empty: no label.
    isolation
        No job of another tenant (or of nobody known) in the hosts, leaf groups or pods that it uses; None: no matter.
    spare_hosts, spare_reach
        Idle hosts held for it in each leaf group, or pod, that it uses.
    movable, move_cost
        If it runs already: whether it may move, and what that costs an accelerator.
    duration_s, deadline_s
        How long it runs without others on the network, and when from now it must be done; None: nobody knows.
    traffic
        The collective that all its ranks run every step; None for a job without.
    compute_s
        Time a step computes with the network silent.
    """

    id: str
    accelerators: int
    accelerators_per_host: int | None = None
    memory_bytes: int = 0
    kinds: tuple[str, ...] = ()
    tenant: str = ""
    priority: float = 1.0
    same_domain: bool = False
    exclusive: bool = False
    max_leaf_groups: int | None = None
    max_pods: int | None = None
    traffic: Demand | None = None
    compute_s: float = 0.0
    preferred_kinds: tuple[str, ...] = ()
    share_frac: float = 1.0
    mig_profile: str = ""
    domain_group: int = 1
    pipeline: int = 1
    segment_hosts: int | None = None
    anti_affinity: str = ""
    anti_affinity_reach: Reach = "host"
    isolation: Reach | None = None
    spare_hosts: int = 0
    spare_reach: Reach = "leaf"
    movable: bool = False
    move_cost: float = 1.0
    duration_s: float | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        where = f"job {self.id!r}"
        if not self.id:
            raise InputError(what="a job needs an id", where="job", found="an empty id")
        if not 1 <= self.accelerators <= _MAX_ACCELERATORS:
            raise InputError(
                what="a job asks for accelerators", where=where, found=self.accelerators, allowed="1 or more"
            )
        if not 0 < self.priority < float("inf"):
            raise InputError(what="a priority is a weight", where=where, found=self.priority, allowed="above 0")
        for name in ("memory_bytes", "compute_s", "move_cost", "spare_hosts"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(what=f"{name} must not be negative", where=where, found=value)
        for name in (
            "accelerators_per_host",
            "max_leaf_groups",
            "max_pods",
            "domain_group",
            "pipeline",
            "segment_hosts",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(what=f"{name} must be at least 1", where=where, found=value)
        for name in ("duration_s", "deadline_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(what=f"{name} must be above 0", where=where, found=value)
        each = self.accelerators_per_host
        if each is not None and self.accelerators % each:
            raise InputError(
                what="accelerators must be a multiple of accelerators_per_host",
                where=where,
                found=f"{self.accelerators} and {each}",
            )
        self._check_parts(where)
        self._check_rules(where)

    def _check_parts(self, where: str) -> None:
        """Refuse parts of accelerators that contradict what else is asked."""
        if not 0 < self.share_frac <= 1:
            raise InputError(what="share_frac out of range", where=where, found=self.share_frac, allowed="above 0 to 1")
        if self.mig_profile:
            mig_profile(self.mig_profile)
        if not self.is_part:
            return
        whole_only = [
            name
            for name, is_asked in (
                ("exclusive", self.exclusive),
                ("accelerators_per_host", self.accelerators_per_host is not None),
                ("segment_hosts", self.segment_hosts is not None),
                ("spare_hosts", self.spare_hosts > 0),
                ("domain_group", self.domain_group > 1),
                ("share_frac and mig_profile", self.share_frac < 1 and bool(self.mig_profile)),
            )
            if is_asked
        ]
        if whole_only:
            raise InputError(
                what="a job on parts of accelerators cannot have this too",
                where=where,
                found=whole_only[0],
                fix="leave out one of the two",
            )

    def _check_rules(self, where: str) -> None:
        """Refuse rules that contradict each other."""
        if self.accelerators % (self.domain_group * self.pipeline):
            raise InputError(
                what="accelerators must be a multiple of domain_group × pipeline",
                where=where,
                found=f"{self.accelerators} and {self.domain_group} × {self.pipeline}",
            )
        each = self.accelerators_per_host
        if each is None and (self.segment_hosts is not None or self.spare_hosts):
            name = "segment_hosts" if self.segment_hosts is not None else "spare_hosts"
            raise InputError(what=f"{name} counts hosts", where=where, fix="give accelerators_per_host too")
        if each is not None and self.segment_hosts is not None and (self.accelerators // each) % self.segment_hosts:
            raise InputError(
                what="hosts must be a multiple of segment_hosts",
                where=where,
                found=f"{self.accelerators // each} and {self.segment_hosts}",
            )
        for name in ("anti_affinity_reach", "isolation", "spare_reach"):
            value = getattr(self, name)
            if value is not None and value not in get_args(Reach):
                raise InputError(what=f"no such {name}", where=where, found=repr(value), allowed="host, leaf, pod")
        if self.spare_reach == "host" and self.spare_hosts:
            raise InputError(
                what="spare hosts are held by leaf or pod", where=where, found="'host'", allowed="leaf, pod"
            )
        if self.isolation and not self.tenant:
            raise InputError(what="isolation needs a tenant", where=where, fix="name the tenant")
        strange = [kind for kind in self.preferred_kinds if self.kinds and kind not in self.kinds]
        if strange:
            raise InputError(
                what="preferred kinds must be among the kinds it accepts",
                where=where,
                found=repr(strange[0]),
                allowed=", ".join(self.kinds),
            )

    @property
    def is_part(self) -> bool:
        """Whether it needs only parts of accelerators."""
        return self.share_frac < 1 or bool(self.mig_profile)

    @property
    def weight(self) -> float:
        """What placing the whole job is worth: priority × accelerators."""
        return self.priority * self.accelerators

"""`Job`: what is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from planner.collectives.traffic import Demand
from topologies.errors import InputError

__all__ = ["Job"]

_MAX_ACCELERATORS = 2**31 - 1


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
        True if it takes whole hosts: nobody else runs on a host that it uses.
    max_leaf_groups, max_pods
        Spread limits; None leaves it open.
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
        for name in ("memory_bytes", "compute_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InputError(what=f"{name} must not be negative", where=where, found=value)
        for name in ("accelerators_per_host", "max_leaf_groups", "max_pods"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(what=f"{name} must be at least 1", where=where, found=value)
        each = self.accelerators_per_host
        if each is not None and self.accelerators % each:
            raise InputError(
                what="accelerators must be a multiple of accelerators_per_host",
                where=where,
                found=f"{self.accelerators} and {each}",
            )

    @property
    def weight(self) -> float:
        """What placing the whole job is worth: priority × accelerators."""
        return self.priority * self.accelerators

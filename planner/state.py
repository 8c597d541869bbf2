"""`ClusterState`: what is taken, drained, broken or reserved now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, Float64s, UInt8s

__all__ = ["Availability", "ClusterState"]


class Availability(IntEnum):
    """What an accelerator is now."""

    FREE = 0
    TAKEN = 1
    DRAINED = 2
    BROKEN = 3
    RESERVED = 4


@dataclass(frozen=True, eq=False)
class ClusterState:
    """The state of every accelerator of a fabric.

    Attributes
    ----------
    availability
        ``(num_accelerators,)`` of `Availability`, read-only.
    used_frac
        ``(num_accelerators,)`` part of each free accelerator that others share already, 0 to 1 (1 leaves nothing);
        compute and memory alike. None stands for zeros.
    link_capacity_frac
        Directed link → what is left of its capacity, above 0 to 1: degraded links.
    """

    availability: UInt8s
    used_frac: Float64s | None = None
    link_capacity_frac: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.availability.setflags(write=False)
        object.__setattr__(self, "link_capacity_frac", MappingProxyType(dict(self.link_capacity_frac)))
        for link, frac in self.link_capacity_frac.items():
            if not 0 < frac <= 1:
                raise InputError(
                    what="a degraded link keeps a part of its rate",
                    where=f"link {link}",
                    found=frac,
                    allowed="above 0 to 1",
                    fix="take a dead link out of the fabric",
                )
        if self.used_frac is None:
            return
        self.used_frac.setflags(write=False)
        if self.used_frac.shape != self.availability.shape or np.any((self.used_frac < 0) | (self.used_frac > 1)):
            raise InputError(what="used parts are one number from 0 to 1 an accelerator", where="state")

    @classmethod
    def empty(cls, fabric: Fabric) -> ClusterState:
        """Return the state in which everything is free."""
        return cls(np.zeros(fabric.num_accelerators, np.uint8))

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which accelerators are free as a whole, ``(num_accelerators,)``."""
        free: npt.NDArray[np.bool_] = self.availability == Availability.FREE
        return free if self.used_frac is None else free & (self.used_frac == 0)

    @property
    def free_frac(self) -> Float64s:
        """Return what is left of each accelerator, 0 to 1, ``(num_accelerators,)``."""
        left: Float64s = (self.availability == Availability.FREE).astype(np.float64)
        return left if self.used_frac is None else left * (1.0 - self.used_frac)

    def degraded(self, fabric: Fabric) -> Fabric:
        """Return the fabric with its degraded links.

        Raises
        ------
        InputError
            If a link's number is none of the fabric's.
        """
        if not self.link_capacity_frac:
            return fabric
        links = np.fromiter(self.link_capacity_frac, np.int64)
        if links.min() < 0 or links.max() >= fabric.num_links:
            raise InputError(
                what="no such link", where=fabric.name, found=int(links.max()), allowed=f"0 to {fabric.num_links - 1}"
            )
        capacity = fabric.link_capacity_bytes_per_s.copy()
        capacity[links] *= np.fromiter(self.link_capacity_frac.values(), np.float64)
        return replace(fabric, link_capacity_bytes_per_s=capacity)

    def with_hosts(self, fabric: Fabric, hosts: Iterable[str], availability: Availability) -> ClusterState:
        """Return the state with every accelerator of some hosts, given by name, set.

        Raises
        ------
        InputError
            If a host is unknown.
        """
        changed = self.availability.copy()
        for name in hosts:
            changed[fabric.host_accelerators(fabric.host_idx(name))] = availability
        return replace(self, availability=changed)

    def with_accelerators(self, accelerators: npt.ArrayLike, availability: Availability) -> ClusterState:
        """Return the state with some accelerators, given by number, set."""
        changed = self.availability.copy()
        changed[np.asarray(accelerators, np.int64)] = availability
        return replace(self, availability=changed)

    def with_used(self, accelerators: npt.ArrayLike, used_frac: float) -> ClusterState:
        """Return the state with a part of some accelerators, given by number, shared by others already.

        Raises
        ------
        InputError
            If the part is not from 0 to 1.
        """
        used = np.zeros(self.availability.shape) if self.used_frac is None else self.used_frac.copy()
        used[np.asarray(accelerators, np.int64)] = used_frac
        return replace(self, used_frac=used)

    def with_degraded(self, links: Iterable[int], capacity_frac: float) -> ClusterState:
        """Return the state with some cables, given by one of their links, at a part of their rate in both directions.

        Raises
        ------
        InputError
            If the part is not above 0 to 1.
        """
        both = {way: capacity_frac for link in links for way in (link, link ^ 1)}
        return replace(self, link_capacity_frac={**self.link_capacity_frac, **both})

    def with_taken(self, fabric: Fabric, host: str, count: int) -> ClusterState:
        """Return the state with the first `count` free accelerators of a host taken.

        Raises
        ------
        InputError
            If the host is unknown or has fewer free ones.
        """
        accelerators = fabric.host_accelerators(fabric.host_idx(host))
        free = accelerators[self.free[accelerators]]
        if not 0 <= count <= len(free):
            raise InputError(
                what="the state over-fills a host",
                where=f"{fabric.name}: {host}",
                found=f"{count} taken",
                allowed=f"0 to {len(free)} still free of {len(accelerators)}",
            )
        return self.with_accelerators(free[:count], Availability.TAKEN)

"""`ClusterState`: what is taken, drained, broken or reserved now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, UInt8s

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
    """

    availability: UInt8s

    def __post_init__(self) -> None:
        self.availability.setflags(write=False)

    @classmethod
    def empty(cls, fabric: Fabric) -> ClusterState:
        """Return the state in which everything is free."""
        return cls(np.zeros(fabric.num_accelerators, np.uint8))

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which accelerators are free, ``(num_accelerators,)``."""
        free: npt.NDArray[np.bool_] = self.availability == Availability.FREE
        return free

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
        return ClusterState(changed)

    def with_accelerators(self, accelerators: npt.ArrayLike, availability: Availability) -> ClusterState:
        """Return the state with some accelerators, given by number, set."""
        changed = self.availability.copy()
        changed[np.asarray(accelerators, np.int64)] = availability
        return ClusterState(changed)

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

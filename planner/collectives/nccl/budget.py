"""What is left of a unit's links while channels are laid over them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from planner.collectives.nccl.node_view import NodeView

__all__ = ["Budget"]

# NCCL rounds what is left to a thousandth of a GB/s, so that 16 × 45.1 fits in 721.8; half of that in bytes/s.
_TOLERANCE_BYTES_PER_S = 0.5e6


class _Full(Exception):  # noqa: N818 - it ends an attempt, it is no fault
    """A link of the attempt has no room."""


class Budget:
    """Remaining rates of one `NodeView`, bytes/s.

    An attempt is a ``with budget.attempt() as try_``: it takes rates link by link and gives all of them back if one
    does not fit; the attempt says so by `ok`.
    """

    def __init__(self, view: NodeView) -> None:
        self.view = view
        self._out: list[float] = view.hub_bytes_per_s.tolist()
        self._in: list[float] = view.hub_bytes_per_s.tolist()
        self._pair: list[list[float]] = view.pair_bytes_per_s.tolist()
        through_host = view.is_hub and not view.has_switch and view.num_accelerators > 1
        # Without scale-up the way to another accelerator and the way to the NIC share the host link.
        self._host_out: list[float] = self._out if through_host else view.host_bytes_per_s.tolist()
        self._host_in: list[float] = self._in if through_host else view.host_bytes_per_s.tolist()
        path = [min(a, b) for a, b in zip(view.nic_bytes_per_s, view.nic_host_bytes_per_s, strict=True)]
        self._nic_out, self._nic_in = list(path), list(path)
        self._taken: list[tuple[list[float], int, float]] = []

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Start an attempt; what it took is given back if it failed."""
        taken: list[tuple[list[float], int, float]] = []
        attempt = Attempt(self, taken)
        try:
            yield attempt
            attempt.ok = True
        except _Full:
            for pool, place, rate in reversed(taken):
                pool[place] += rate

    def pair_left(self, source: int, target: int) -> float:
        """Return what is left between two accelerators."""
        if self.view.is_hub:
            return min(self._out[source], self._in[target])
        return self._pair[source][target]


class Attempt:
    """One attempt to lay a channel; every method ends the attempt if there is no room."""

    def __init__(self, budget: Budget, taken: list[tuple[list[float], int, float]]) -> None:
        self.ok = False
        self._budget = budget
        self._taken = taken

    def _take(self, pool: list[float], place: int, rate: float) -> None:
        if pool[place] < rate - _TOLERANCE_BYTES_PER_S:
            raise _Full
        pool[place] -= rate
        self._taken.append((pool, place, rate))

    def hop(self, source: int, target: int, rate: float) -> None:
        """Take a way from one accelerator to another."""
        budget = self._budget
        if budget.view.is_hub:
            self._take(budget._out, source, rate)
            self._take(budget._in, target, rate)
        else:
            self._take(budget._pair[source], target, rate)

    def from_switch(self, target: int, rate: float) -> None:
        """Take a way from the scale-up switch to an accelerator."""
        self._take(self._budget._in, target, rate)

    def to_switch(self, source: int, rate: float) -> None:
        """Take a way from an accelerator to the scale-up switch."""
        self._take(self._budget._out, source, rate)

    def enter(self, nic: int, accelerator: int, rate: float) -> None:
        """Take the way in from a NIC to an accelerator."""
        self._take(self._budget._nic_in, nic, rate)
        self._take(self._budget._host_in, accelerator, rate)

    def leave(self, accelerator: int, nic: int, rate: float) -> None:
        """Take the way out from an accelerator to a NIC."""
        self._take(self._budget._host_out, accelerator, rate)
        self._take(self._budget._nic_out, nic, rate)

    def give_up(self) -> None:
        """End the attempt."""
        raise _Full

"""`ParallelLayout`: which ranks of a training job talk to each other, and how much, a step.

Ranks are numbered as Megatron-LM numbers them, tensor parallelism fastest: ``rank = tp + TP·(cp + CP·(dp + DP·pp))``
(Megatron-Core, ``parallel_state.RankGenerator``, order ``tp-cp-ep-dp-pp``). Expert parallelism takes EP neighbours out
of the DP ranks, the fastest of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.collectives.definitions import Collective
from planner.collectives.traffic import Demand
from topologies.errors import InputError
from topologies.routing.rows import Int64s

__all__ = ["AXES", "Axis", "ParallelLayout"]

Axis = Literal["tp", "cp", "ep", "dp", "pp"]
AXES: tuple[Axis, ...] = ("tp", "cp", "ep", "dp", "pp")


@dataclass(frozen=True, slots=True)
class ParallelLayout:
    """Degrees of parallelism and the bytes that each kind of group moves a step.

    Attributes
    ----------
    tp, cp, dp, pp
        Ways of tensor, context, data and pipeline parallelism; their product is the number of ranks.
    ep
        Ways of expert parallelism; divides `dp`.
    tp_bytes, cp_bytes, ep_bytes, dp_bytes, pp_bytes
        Bytes a rank and step: all-reduce of activations, ring of keys and values, all-to-all of tokens, all-reduce of
        gradients, and what a stage hands to the next.

    Raises
    ------
    InputError
        If a degree is below 1, a size is negative, or `ep` does not divide `dp`.
    """

    tp: int = 1
    cp: int = 1
    dp: int = 1
    pp: int = 1
    ep: int = 1
    tp_bytes: float = 0.0
    cp_bytes: float = 0.0
    ep_bytes: float = 0.0
    dp_bytes: float = 0.0
    pp_bytes: float = 0.0

    def __post_init__(self) -> None:
        for axis in AXES:
            degree, size = getattr(self, axis), getattr(self, f"{axis}_bytes")
            if degree < 1:
                raise InputError(what=f"{axis} must be at least 1", where="parallel layout", found=degree)
            if not 0 <= size < float("inf"):
                raise InputError(what=f"{axis}_bytes must not be negative", where="parallel layout", found=size)
        if self.dp % self.ep:
            raise InputError(
                what="expert parallelism takes its ranks from data parallelism",
                where="parallel layout",
                found=f"ep {self.ep}, dp {self.dp}",
                allowed="ep that divides dp",
            )

    @property
    def num_ranks(self) -> int:
        """Number of ranks."""
        return self.tp * self.cp * self.dp * self.pp

    @property
    def block(self) -> int:
        """Ranks that talk most and should share a scale-up domain: tensor and context parallel neighbours."""
        return self.tp * self.cp

    def groups(self, axis: Axis) -> Int64s:
        """Ranks of each group along one axis, ``(num_groups, size)``."""
        shape = (self.pp, self.dp // self.ep, self.ep, self.cp, self.tp)
        ranks = np.arange(self.num_ranks).reshape(shape)
        if axis == "dp":
            moved = ranks.reshape(self.pp, self.dp, self.cp, self.tp)
            return np.moveaxis(moved, 1, -1).reshape(-1, self.dp)
        place = {"pp": 0, "ep": 2, "cp": 3, "tp": 4}[axis]
        return np.moveaxis(ranks, place, -1).reshape(-1, shape[place])

    def demand(self, axis: Axis) -> Demand:
        """Return what a group along one axis runs each step."""
        size = float(getattr(self, f"{axis}_bytes"))
        collectives: dict[Axis, Collective] = {
            "tp": "all-reduce",
            "cp": "send-recv",
            "ep": "all-to-all",
            "dp": "all-reduce",
            "pp": "send-recv",
        }
        return Demand(size, collectives[axis])

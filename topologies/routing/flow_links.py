"""`FlowLinks`: which links each flow runs over, and what share of the flow each of them carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.routing.rows import Float64s, Int64s, frozen, running_total, spans

__all__ = ["FlowLinks"]


@dataclass(frozen=True, eq=False)
class FlowLinks:
    """The links of each flow in compressed rows; arrays are read-only.

    Attributes
    ----------
    flow_start
        ``(F + 1,)``: the links of flow ``f`` are ``link[flow_start[f]:flow_start[f + 1]]``, in path order (for a flow
        that is split, hop by hop). A flow from a node to itself has none.
    link
        ``(nnz,)``: directed link of the fabric.
    share_frac
        ``(nnz,)``: how much of the flow the link carries, 0 < share ≤ 1.
    """

    flow_start: Int64s
    link: Int64s
    share_frac: Float64s

    def __post_init__(self) -> None:
        object.__setattr__(self, "flow_start", frozen(self.flow_start, np.int64))
        object.__setattr__(self, "link", frozen(self.link, np.int64))
        object.__setattr__(self, "share_frac", frozen(self.share_frac, np.float64))
        if self.flow_start[-1] != self.link.size or self.link.shape != self.share_frac.shape:
            raise InputError(what="flow_start, link and share_frac do not fit each other", where="FlowLinks")

    @property
    def num_flows(self) -> int:
        """Number of flows."""
        return int(self.flow_start.size - 1)

    def entry_flow(self) -> Int64s:
        """Flow of each entry, ``(nnz,)``."""
        return np.repeat(np.arange(self.num_flows, dtype=np.int64), np.diff(self.flow_start))

    def links_of(self, flow: int) -> Int64s:
        """Links of one flow, in path order."""
        return self.link[self.flow_start[flow] : self.flow_start[flow + 1]]

    def select(self, flows: npt.NDArray[np.int64]) -> FlowLinks:
        """Keep `flows` only, in the order given."""
        begin = self.flow_start[flows]
        size = self.flow_start[flows + 1] - begin
        entry = spans(begin, size)
        return FlowLinks(running_total(size), self.link[entry], self.share_frac[entry])

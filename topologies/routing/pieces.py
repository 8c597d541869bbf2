"""Puts `FlowLinks` together from pieces: for each hop or tier, which flows take which links with what share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from topologies.routing.flow_links import FlowLinks
from topologies.routing.rows import Float64s, Int64s, count_at, running_total

__all__ = ["Pieces"]


class Pieces:
    """Collects (flow, link, share) entries hop after hop, and sorts them by flow at the end.

    Parameters
    ----------
    num_flows
        Flows are numbered from 0 to ``num_flows − 1``.
    """

    def __init__(self, num_flows: int) -> None:
        self.num_flows = num_flows
        self._flow: list[Int64s] = []
        self._link: list[Int64s] = []
        self._share: list[Float64s] = []

    def add(self, flow: Int64s, link: npt.NDArray[np.integer], share_frac: Float64s | None = None) -> None:
        """Add entries; a share of 1 if none is given."""
        if not flow.size:
            return
        self._flow.append(flow)
        self._link.append(link.astype(np.int64, copy=False))
        self._share.append(np.ones(flow.size) if share_frac is None else share_frac)

    def join(self) -> FlowLinks:
        """Return all entries by flow, each flow's in the order in which they were added."""
        if not self._flow:
            return FlowLinks(np.zeros(self.num_flows + 1, np.int64), np.zeros(0, np.int64), np.zeros(0))
        flow = np.concatenate(self._flow)
        order = np.argsort(flow, kind="stable")
        link = np.concatenate(self._link)[order]
        share = np.concatenate(self._share)[order]
        start = running_total(count_at(flow, self.num_flows))
        for array in (start, link, share):
            array.flags.writeable = False
        return FlowLinks(start, link, share)

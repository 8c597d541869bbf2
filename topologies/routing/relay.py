"""Relays: how accelerators meet whose NICs hang on networks that nothing joins, such as the rails of rail-only fabrics.

What goes to another rail first goes over the sender's scale-up domain to the accelerator at a NIC of that rail (PXN in
NCCL's words; Wang et al., arXiv:2307.12169, section 4), and only where there is none over the receiver's domain.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from topologies.routing.plane import Plane
from topologies.routing.rows import Int64s, count_at, running_total

__all__ = ["Relays"]


class Relays:
    """Which accelerators pass on what others send to networks that their own NIC does not hang on.

    Parameters
    ----------
    plane
        The scale-out network.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.fabric = plane.fabric

    @cached_property
    def piece(self) -> Int64s:
        """Connected piece of the network that each endpoint hangs on, ``(num_endpoints,)``; −1 for none."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        plane, fabric = self.plane, self.fabric
        link = np.flatnonzero(fabric.link_kind == plane.kind)
        a, b = fabric.link_source[link], fabric.link_target[link]
        graph = coo_array((np.ones(link.size, np.int8), (a, b)), shape=(fabric.num_nodes, fabric.num_nodes)).tocsr()
        label = np.asarray(connected_components(graph, directed=False)[1], np.int64)
        linked = count_at(a, fabric.num_nodes)[: plane.num_endpoints] > 0
        piece = np.full(plane.num_endpoints, -1, np.int64)
        _, number = np.unique(label[: plane.num_endpoints][linked], return_inverse=True)
        piece[linked] = number.ravel()
        return piece

    @cached_property
    def _way_out(self) -> Int64s:
        """Piece that each accelerator hangs on by its nearest NIC, or by itself; ``(A,)``, −1 for none."""
        nic = self.fabric.accelerator_nic.astype(np.int64)
        out: Int64s = self.piece[np.where(nic >= 0, nic, np.arange(nic.size))]
        return out

    @cached_property
    def _by_domain(self) -> tuple[Int64s, Int64s, Int64s]:
        """Members of each domain in order with where they start, and the place of each accelerator in its domain."""
        domain = self.fabric.accelerator_domain.astype(np.int64)
        order = np.argsort(domain, kind="stable")
        start = running_total(count_at(domain, self.fabric.num_domains))
        place = np.empty(domain.size, np.int64)
        place[order] = np.arange(domain.size) - start[domain[order]]
        return order, start, place

    @cached_property
    def _holders(self) -> tuple[Int64s, Int64s]:
        """Sorted keys ``domain × pieces + piece``, and the accelerator that each belongs to."""
        holder = np.flatnonzero(self._way_out >= 0)
        key = self.fabric.accelerator_domain[holder] * self._num_pieces + self._way_out[holder]
        order = np.argsort(key, kind="stable")
        return key[order], holder[order]

    @cached_property
    def _num_pieces(self) -> int:
        return int(self.piece.max(initial=0)) + 1

    def _holder(self, accelerator: Int64s, piece: Int64s) -> Int64s:
        """Return an accelerator of each one's domain that hangs on a piece, spread evenly over them; −1 for none."""
        key, holder = self._holders
        domain = self.fabric.accelerator_domain[accelerator].astype(np.int64)
        wanted = domain * self._num_pieces + piece
        first = np.searchsorted(key, wanted, side="left")
        num = np.where(piece >= 0, np.searchsorted(key, wanted, side="right") - first, 0)
        _, start, place = self._by_domain
        size = start[domain + 1] - start[domain]
        chosen = np.minimum(first + place[accelerator] * num // size, max(key.size - 1, 0))
        return np.where(num > 0, holder[chosen], -1) if key.size else np.full(accelerator.size, -1, np.int64)

    def between(self, source: Int64s, target: Int64s) -> tuple[Int64s, Int64s]:
        """Return through whose NIC each flow leaves, and through whose it arrives.

        Parameters
        ----------
        source, target
            ``(F,)`` accelerators of different scale-up domains.

        Returns
        -------
        tuple
            ``(F,)`` accelerators: source and target themselves where their NICs hang on one network, or where no relay
            helps either.
        """
        leaves, arrives = source.copy(), target.copy()
        of_source, of_target = self._way_out[source], self._way_out[target]
        open_ = np.flatnonzero((of_source != of_target) | (of_source < 0))
        relay = self._holder(source[open_], of_target[open_])
        leaves[open_[relay >= 0]] = relay[relay >= 0]
        open_ = open_[relay < 0]
        relay = self._holder(target[open_], of_source[open_])
        arrives[open_[relay >= 0]] = relay[relay >= 0]
        for flow in open_[relay < 0].tolist():
            self._over_both(flow, source, target, leaves, arrives)
        return leaves, arrives

    def _over_both(self, flow: int, source: Int64s, target: Int64s, leaves: Int64s, arrives: Int64s) -> None:
        """Find a piece that both domains hang on, and relay on both sides."""
        order, start, place = self._by_domain
        ends = [int(source[flow]), int(target[flow])]
        pieces = []
        for end in ends:
            domain = int(self.fabric.accelerator_domain[end])
            pieces.append(self._way_out[order[start[domain] : start[domain + 1]]])
        common = np.intersect1d(pieces[0], pieces[1])
        common = common[common >= 0]
        if common.size:
            piece = common[[int(place[ends[0]] + place[ends[1]]) % common.size]]
            leaves[flow] = self._holder(source[[flow]], piece)[0]
            arrives[flow] = self._holder(target[[flow]], piece)[0]

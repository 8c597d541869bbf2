"""The first and the last stretch of every flow: inside the host, over direct links, and onto the right network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.routing.relay import Relays
from topologies.routing.rows import Int64s

__all__ = ["Ends", "split_ends", "unreachable"]


@dataclass(frozen=True)
class Ends:
    """Where each flow enters and leaves the switched network.

    Attributes
    ----------
    source, target
        ``(F,)`` endpoints on the switched network: the NIC of an accelerator that goes out over it.
    out_link, in_link
        ``(F,)`` link from the accelerator to its NIC, and from the NIC to the accelerator; −1 where there is none.
    over_scale_up
        ``(F,)`` flows inside one scale-up domain.
    leaves, arrives
        ``(F,)`` whose NIC each flow goes out and comes in by: its own ends, or relays in their scale-up domains.
    """

    source: Int64s
    target: Int64s
    out_link: Int64s
    in_link: Int64s
    over_scale_up: npt.NDArray[np.bool_]
    leaves: Int64s
    arrives: Int64s


def split_ends(fabric: Fabric, source_node: npt.ArrayLike, target_node: npt.ArrayLike, relays: Relays) -> Ends:
    """Check the ends of the flows and find how each gets to the network it uses.

    Two accelerators of one scale-up domain talk over it; any other accelerator goes through its nearest NIC, if it has
    one, or through a relay's where the two NICs hang on different networks.

    Raises
    ------
    InputError
        If the arrays differ in length, or an end is no accelerator and no NIC.
    """
    source = np.array(source_node, dtype=np.int64)
    target = np.array(target_node, dtype=np.int64)
    if source.shape != target.shape or source.ndim != 1:
        raise InputError(
            what="flows need one source and one target each", where="routing", found=f"{source.shape}, {target.shape}"
        )
    for end in (source, target):
        bad = np.flatnonzero((end < 0) | (end >= fabric.num_accelerators + fabric.num_nics))
        if bad.size:
            node = int(end[bad[0]])
            found = fabric.node_names[node] if 0 <= node < fabric.num_nodes else f"node {node}"
            raise InputError(
                what="a flow ends on no accelerator and no NIC",
                where=fabric.name,
                found=repr(found),
                allowed=f"nodes 0…{fabric.num_accelerators + fabric.num_nics - 1}",
            )
    both = (source < fabric.num_accelerators) & (target < fabric.num_accelerators) & (source != target)
    over_scale_up = np.zeros(source.shape, bool)
    pair = np.flatnonzero(both)
    over_scale_up[pair] = fabric.accelerator_domain[source[pair]] == fabric.accelerator_domain[target[pair]]
    goes_out = ~over_scale_up & (source != target)
    leaves, arrives = source.copy(), target.copy()
    far = np.flatnonzero(both & goes_out)
    if far.size:
        leaves[far], arrives[far] = relays.between(source[far], target[far])
    out_link, source = _through_nic(fabric, leaves, goes_out)
    in_link, target = _through_nic(fabric, arrives, goes_out)
    in_link = np.where(in_link >= 0, in_link ^ 1, -1)
    return Ends(source, target, out_link, in_link, over_scale_up, leaves, arrives)


def _through_nic(fabric: Fabric, end: Int64s, goes_out: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s]:
    """Link from each accelerator that goes out to its NIC (−1 for the others), and where the flow is then."""
    link = np.full(end.shape, -1, np.int64)
    accelerator = np.flatnonzero(goes_out & (end < fabric.num_accelerators))
    nic = fabric.accelerator_nic[end[accelerator]].astype(np.int64)
    accelerator, nic = accelerator[nic >= 0], nic[nic >= 0]
    if not accelerator.size:
        return link, end
    host_link = np.flatnonzero((fabric.link_kind == LinkKind.HOST) & (fabric.link_source < fabric.num_accelerators))
    key = fabric.link_source[host_link].astype(np.int64) * fabric.num_nodes + fabric.link_target[host_link]
    order = np.argsort(key, kind="stable")
    link[accelerator] = host_link[order][np.searchsorted(key[order], end[accelerator] * fabric.num_nodes + nic)]
    moved = end.copy()
    moved[accelerator] = nic
    return link, moved


def unreachable(fabric: Fabric, source: int, target: int, *, where: str = "") -> InputError:
    """Say that no way leads from one node to another, naming both."""
    kinds = [NodeKind(int(fabric.node_kind[n])).name.lower().replace("_", " ") for n in (source, target)]
    return InputError(
        what=f"no way from {kinds[0]} {fabric.node_names[source]!r} to {kinds[1]} {fabric.node_names[target]!r}",
        where=where or fabric.name,
        allowed="a way over switches; accelerators and NICs pass nothing on",
        fix="add the missing links or leave these two out of one group",
    )

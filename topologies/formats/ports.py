"""Port labels of cables: as a file names them, or numbered from the fabric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topologies.fabric import Fabric, Int32s, LinkKind, NodeKind

__all__ = ["CablePorts", "numbered_ports"]


@dataclass(frozen=True, eq=False)
class CablePorts:
    """The port of each end of each cable; cable ``c`` is the links ``2c`` and ``2c + 1``.

    Attributes
    ----------
    source, target
        ``(num_links / 2,)`` labels at the source and the target of link ``2c``; empty where there is none.
    are_given
        Whether a file named them; else they are numbered by `numbered_ports`.
    """

    source: Sequence[str]
    target: Sequence[str]
    are_given: bool = True

    def at(self, link: int) -> tuple[str, str]:
        """Return the labels at the source and the target of a directed link."""
        ends = self.source[link // 2], self.target[link // 2]
        return ends if link % 2 == 0 else (ends[1], ends[0])


def numbered_ports(fabric: Fabric) -> CablePorts:
    """Return port numbers from 1 for each node: its cables down first, then those to its own tier, then those up.

    Only scale-out cables have ports; the links inside a host have none.
    """
    num_cables = fabric.num_links // 2
    end = np.empty((num_cables, 2), np.int64)
    is_port = np.asarray(fabric.link_kind[0::2] == LinkKind.SCALE_OUT)
    node = np.stack([fabric.link_source[0::2], fabric.link_target[0::2]], axis=1).astype(np.int64)
    tier = fabric.node_tier.astype(np.int64)
    side = np.sign(tier[node[:, ::-1]] - tier[node])  # −1 where the cable leads down
    cable = np.flatnonzero(is_port)
    flat_node, flat_side = node[cable].ravel(), side[cable].ravel()
    order = np.lexsort((np.arange(flat_node.size), flat_side, flat_node))
    sorted_node = flat_node[order]
    first = np.flatnonzero(np.concatenate([[True], sorted_node[1:] != sorted_node[:-1]])) if order.size else order
    run = np.repeat(first, np.diff(np.append(first, order.size)))
    number = np.empty(order.size, np.int64)
    number[order] = np.arange(order.size) - run + 1
    end[:] = 0
    end[cable] = number.reshape(-1, 2)
    labels = [""] + [str(n) for n in range(1, int(end.max(initial=0)) + 1)]
    return CablePorts([labels[n] for n in end[:, 0]], [labels[n] for n in end[:, 1]], are_given=False)


def host_of_node(fabric: Fabric, node: int) -> int:
    """Return the host of an accelerator or NIC; −1 for a switch."""
    kind = NodeKind(fabric.node_kind[node])
    if kind is NodeKind.ACCELERATOR:
        return int(fabric.accelerator_host[node])
    if kind is NodeKind.NIC:
        return int(fabric.nic_host[node - fabric.num_accelerators])
    return -1


def cables_of(fabric: Fabric, kind: LinkKind = LinkKind.SCALE_OUT) -> Int32s:
    """Return the first link of each cable of one kind."""
    links = np.arange(0, fabric.num_links, 2, dtype=np.int32)
    chosen: Int32s = links[fabric.link_kind[links] == kind]
    return chosen

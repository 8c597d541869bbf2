"""`fabric_svg`: one picture of any fabric."""

from __future__ import annotations

from collections import Counter

import numpy as np

from topologies.drawing.layers import layers_svg
from topologies.drawing.mesh import mesh_svg
from topologies.fabric import Fabric, LinkKind, NodeKind

__all__ = ["counts_line", "fabric_svg"]

_TIERS = {1: ("leaf", "leaves"), 2: ("spine", "spines"), 3: ("core", "cores")}


def fabric_svg(fabric: Fabric) -> str:
    """Return a picture of a fabric: in layers, or as a mesh where accelerators or their routers are wired directly."""
    return mesh_svg(fabric) if _is_mesh(fabric) else layers_svg(fabric)


def _is_mesh(fabric: Fabric) -> bool:
    """Tell whether there is no network but what joins the accelerators of one domain without layers."""
    if fabric.num_nics or np.any(fabric.link_kind == LinkKind.SCALE_OUT):
        return False
    first = fabric.num_accelerators
    inside = fabric.link_kind == LinkKind.SCALE_UP
    source, target = fabric.link_source[inside], fabric.link_target[inside]
    if not (fabric.node_kind == NodeKind.SCALE_UP_SWITCH).any():
        return bool(inside.any())
    hangs_on = np.bincount(target[source < first], minlength=fabric.num_nodes)
    return bool(np.any((source >= first) & (target >= first)) and hangs_on.max() == 1)


def counts_line(fabric: Fabric) -> str:
    """Return what there is of each kind of node, in one line."""
    is_switch = fabric.node_kind == NodeKind.SWITCH
    by_tier = Counter(fabric.node_tier[is_switch].tolist())
    words = []
    for tier in sorted(by_tier, reverse=True):
        one, several = _TIERS.get(tier, (f"tier-{tier} switch", f"tier-{tier} switches"))
        words.append(_counted(by_tier[tier], one, several))
    words.append(_counted(fabric.num_accelerators, "accelerator", "accelerators"))
    words.append(_counted(fabric.num_hosts, "host", "hosts"))
    words.append(_counted(fabric.num_domains, "scale-up domain", "scale-up domains"))
    return ", ".join(words)


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"

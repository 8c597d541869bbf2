"""ASTRA-sim's analytical network: a topology of dimensions, each the same for every accelerator."""

from __future__ import annotations

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s, LinkKind, NodeKind
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported

__all__ = ["AstraFormat"]

_GB = 2**30
"""Bytes of ASTRA-sim's GB: ``bw_GBps_to_Bpns`` of its analytical back end multiplies by 1 << 30."""

_NS_A_S = 1e9


class AstraFormat(BaseFormat):
    """Registers ``astra-sim``."""

    name = "astra-sim"
    summary = "ASTRA-sim's analytical network YAML: dimensions of switches"
    writes = True

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return dimensions: the scale-up domain, then the hosts of a leaf group, of a pod, and all pods.

        A Switch counts two hops of latency, so half of what a path takes is stated.

        Raises
        ------
        InputError
            If domains, leaf groups or pods are of differing sizes.
        """
        dims: list[tuple[str, int, float, float]] = []
        losses = ["names, parts, racks and which hosts share a switch", "switches by number, and how paths share them"]
        size = _even(fabric, np.bincount(fabric.accelerator_domain), "scale-up domains")
        if size > 1:
            dims.append(_scale_up(fabric, size))
        first = fabric.host_accelerator_start[:-1]
        group_of_domain = _of_domain(fabric, fabric.host_leaf_group[fabric.accelerator_host], "leaf group")
        pod_of_domain = _of_domain(fabric, fabric.accelerator_pod, "pod")
        a_group = _even(fabric, np.bincount(group_of_domain), "leaf groups")
        a_pod = _even(fabric, np.bincount(pod_of_domain), "pods")
        num_groups = a_pod // a_group
        if fabric.num_domains > 1 and not fabric.num_nics:
            raise InputError(
                what="accelerators wired to each other across hosts are no dimensions of switches",
                where=fabric.name,
                found=f"{fabric.num_hosts} hosts without NICs, {len(first)} of them",
            )
        for count, tier in ((a_group, 1), (num_groups, 2), (fabric.num_pods, 3)):
            if count > 1:
                rate, latency_s = _network(fabric, tier)
                dims.append(("Switch", count, rate, latency_s / 2))
        if not dims:
            raise InputError(what="one accelerator has no network", where=fabric.name)
        columns = list(zip(*dims, strict=True))
        text = [
            "# Written by scaleplan. Bandwidth a dimension and accelerator in GB/s (2^30 bytes), latency in ns.",
            f"topology: [ {', '.join(columns[0])} ]",
            f"npus_count: [ {', '.join(str(n) for n in columns[1])} ]",
            f"bandwidth: [ {', '.join(_number(rate / _GB) for rate in columns[2])} ]",
            f"latency: [ {', '.join(_number(time * _NS_A_S) for time in columns[3])} ]",
        ]
        return Exported("\n".join(text) + "\n", tuple(losses))


def _number(value: float) -> str:
    return np.format_float_positional(float(f"{value:.9g}"), trim="0")


def _even(fabric: Fabric, sizes: Int64s | np.ndarray[tuple[int], np.dtype[np.intp]], what: str) -> int:
    found = np.unique(sizes[sizes > 0])
    if len(found) > 1:
        raise InputError(
            what=f"{what} of differing sizes, where each dimension has one size",
            where=fabric.name,
            found=", ".join(map(str, found[:8])),
            fix="export a part of the fabric that is even",
        )
    return int(found[0])


def _of_domain(fabric: Fabric, group: np.ndarray[tuple[int], np.dtype[np.int32]], what: str) -> Int64s:
    """Return the group of each domain, ``(num_domains,)``."""
    low = np.full(fabric.num_domains, np.iinfo(np.int64).max)
    high = np.full(fabric.num_domains, -1)
    np.minimum.at(low, fabric.accelerator_domain, group)
    np.maximum.at(high, fabric.accelerator_domain, group)
    if np.any(low != high):
        raise InputError(what=f"a scale-up domain lies in more than one {what}", where=fabric.name)
    return low


def _scale_up(fabric: Fabric, size: int) -> tuple[str, int, float, float]:
    mask = (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source < fabric.num_accelerators)
    is_direct = fabric.node_kind[fabric.link_target[mask]] == NodeKind.ACCELERATOR
    latency_s = float(fabric.link_latency_s[mask].max())
    first = fabric.num_accelerators
    trunk = (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source >= first) & (fabric.link_target >= first)
    if trunk.any():
        raise InputError(
            what="a scale-up domain whose switches are wired to each other is no single dimension",
            where=fabric.name,
            found=f"{int(trunk.sum()) // 2} links between scale-up switches",
        )
    if is_direct.any():
        rate = float(fabric.link_capacity_bytes_per_s[mask].min())
        links = int(mask.sum()) // fabric.num_accelerators
        if links != size - 1 or not is_direct.all():
            raise InputError(
                what="a scale-up domain that is neither switched nor a full mesh",
                where=fabric.name,
                found=f"{links} links an accelerator in domains of {size}",
            )
        return "FullyConnected", size, rate, latency_s
    return "Switch", size, float(fabric.accelerator_scale_up_bytes_per_s.min()), latency_s


def _network(fabric: Fabric, tier: int) -> tuple[float, float]:
    """Return rate an accelerator and path latency of traffic that turns round at a tier."""
    up = (fabric.link_kind == LinkKind.SCALE_OUT) & (
        fabric.node_tier[fabric.link_target] > fabric.node_tier[fabric.link_source]
    )
    rates, latency_s = [], 0.0
    for height in range(1, tier + 1):
        mask = up & (fabric.link_tier == height)
        if not mask.any():
            continue
        rates.append(float(fabric.link_capacity_bytes_per_s[mask].sum()) / fabric.num_accelerators)
        latency_s += 2 * float(fabric.link_latency_s[mask].mean())
    inside = fabric.link_kind == LinkKind.HOST
    if inside.any():
        latency_s += 2 * float(fabric.link_latency_s[inside].mean())
    return min(rates), latency_s

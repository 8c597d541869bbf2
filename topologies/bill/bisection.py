"""Bisection bandwidth: what one half of the accelerators can send to the other half, one direction.

The halves are made of hosts in the order of pods and leaf groups, or, where the network is no Clos, also by the second
eigenvector of its Laplacian; the smallest figure of the splits tried is taken, an upper bound of the smallest there is.
For a given split the figure is exact: in closed form where every switch spreads evenly (a folded Clos), else the
largest flow (Dinic, scipy) between all NICs of one half and all of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.fabric import Fabric, Float64s, Int64s, LinkKind

__all__ = ["Bisection", "bisection_of", "closed_form", "largest_flow", "split_by_place"]

_INT32_MAX = 2**31 - 1
_MAX_PARTS = 64
_MAX_SPECTRAL_NODES = 20_000
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bisection:
    """Bisection bandwidth.

    Attributes
    ----------
    network
        ``scale-out``, or ``scale-up`` for accelerators wired to each other without NICs.
    bytes_per_s
        One direction.
    full_bytes_per_s
        What it would be if nothing but the NICs held it back.
    method
        ``closed form`` or ``largest flow``.
    split
        How the halves were made.
    """

    network: str
    bytes_per_s: float
    full_bytes_per_s: float
    method: str
    split: str

    @property
    def of_full_frac(self) -> float:
        """The share of full bisection bandwidth."""
        return self.bytes_per_s / self.full_bytes_per_s if self.full_bytes_per_s else 0.0


def bisection_of(fabric: Fabric) -> Bisection | None:
    """Return the bisection bandwidth; None where there is nothing to cut (one host, or nothing between hosts)."""
    if fabric.num_nics:
        return _scale_out(fabric)
    return _direct(fabric)


def split_by_place(fabric: Fabric) -> Bools:
    """Return the accelerators of the first half, ``(A,)``: whole hosts in the order of pods and leaf groups."""
    order = np.lexsort((np.arange(fabric.num_hosts), fabric.host_leaf_group, fabric.host_pod))
    return _first_half(fabric, order)


def _first_half(fabric: Fabric, host_order: npt.NDArray[np.integer]) -> Bools:
    size = fabric.host_num_accelerators[host_order]
    before = np.cumsum(size) - size
    host_half = np.zeros(fabric.num_hosts, bool)
    host_half[host_order] = before + size / 2 <= fabric.num_accelerators / 2
    half: Bools = host_half[fabric.accelerator_host]
    return half


def _scale_out(fabric: Fabric) -> Bisection | None:
    if fabric.num_hosts < 2:
        return None
    half = split_by_place(fabric)
    full = _full(fabric, half)
    exact = closed_form(fabric, half)
    place = "hosts in the order of pods and leaf groups"
    if exact is not None:
        return Bisection("scale-out", exact, full, "closed form", place)
    found = [(largest_flow(fabric, half), full, place)]
    spectral = _spectral(fabric)
    if spectral is not None:
        found.append((largest_flow(fabric, spectral), _full(fabric, spectral), "second eigenvector of the network"))
    flow, full, split = min(found, key=lambda row: row[0])
    return Bisection("scale-out", flow, full, "largest flow", split)


def _nic_half(fabric: Fabric, half: Bools) -> Bools:
    """Return the NICs of the first half, ``(M,)``: those of its hosts."""
    host_half = np.zeros(fabric.num_hosts, bool)
    host_half[fabric.accelerator_host[half]] = True
    nics: Bools = host_half[fabric.nic_host]
    return nics


def _nic_capacity(fabric: Fabric) -> Float64s:
    """Return the scale-out capacity of each NIC, ``(M,)``."""
    first = fabric.num_accelerators
    mask = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source >= first)
    mask &= fabric.link_source < first + fabric.num_nics
    total: Float64s = np.bincount(
        fabric.link_source[mask] - first, weights=fabric.link_capacity_bytes_per_s[mask], minlength=fabric.num_nics
    ).astype(np.float64)
    return total


def _full(fabric: Fabric, half: Bools) -> float:
    capacity, nics = _nic_capacity(fabric), _nic_half(fabric, half)
    return float(min(capacity[nics].sum(), capacity[~nics].sum()))


# ---- closed form ---------------------------------------------------------------------------------------------------


def closed_form(fabric: Fabric, half: Bools) -> float | None:
    """Return the bisection bandwidth of a folded Clos, None where the network or the split is not regular enough.

    A leaf passes on the smaller of what its NICs send and what its uplinks take; a pod the smaller of the sum of that
    and its spines' uplinks. With even spreading, each plane carries the smaller of the two halves' sums. Each condition
    is checked: tiers with links between neighbours only; no leaf (nor pod, with three tiers) in both halves; every leaf
    joined to each spine of its pod and plane alike; spines of a pod alike upwards; every pod joined to the cores of
    its plane in one proportion.
    """
    first = fabric.num_accelerators + fabric.num_nics
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    source, target = fabric.link_source[scale_out].astype(np.int64), fabric.link_target[scale_out].astype(np.int64)
    capacity = fabric.link_capacity_bytes_per_s[scale_out]
    tier = fabric.node_tier.astype(np.int64)
    up = (source >= first) & (target >= first) & (tier[target] > tier[source])
    access = (source < first) & (target >= first)
    trunk = (source >= first) & (target >= first)
    num_switches = fabric.num_nodes - first
    if np.any(tier[target[access]] != 1) or np.any(source[access] < fabric.num_accelerators):
        return None
    if np.any(np.abs(tier[source[trunk]] - tier[target[trunk]]) != 1) or tier.max(initial=0) > 3:
        return None
    nics_half = _nic_half(fabric, half)
    nic = source[access] - fabric.num_accelerators
    leaf = target[access] - first
    down_a = np.bincount(leaf, weights=capacity[access] * nics_half[nic], minlength=num_switches)
    down_b = np.bincount(leaf, weights=capacity[access] * ~nics_half[nic], minlength=num_switches)
    if np.any((down_a > 0) & (down_b > 0)):
        return None
    low, high, rate = source[up] - first, target[up] - first, capacity[up]
    switch_tier = tier[first:]
    up_total = np.bincount(low, weights=rate, minlength=num_switches).astype(np.float64)
    passes = np.minimum(down_a + down_b, up_total)
    in_a = down_a > 0
    level1 = switch_tier[low] == 1
    pod = _pieces(num_switches, low[level1], high[level1])  # leaves with their spines
    if not _is_even(low[level1], high[level1], rate[level1], pod):
        return None
    plane = _pieces(num_switches, low, high)
    if switch_tier.max(initial=0) <= 2:
        return _smaller_half(passes, in_a, plane, switch_tier == 1)
    return _three_tiers(switch_tier, low, high, rate, up_total, passes, in_a, pod, plane)


def _three_tiers(
    tier: Int64s,
    low: Int64s,
    high: Int64s,
    rate: Float64s,
    up_total: Float64s,
    passes: Float64s,
    in_a: Bools,
    pod: Int64s,
    plane: Int64s,
) -> float | None:
    leaf, spine = tier == 1, tier == 2
    num_pods = int(pod.max()) + 1
    has_a = np.bincount(pod[leaf & in_a], minlength=num_pods) > 0
    has_b = np.bincount(pod[leaf & ~in_a & (passes > 0)], minlength=num_pods) > 0
    if np.any(has_a & has_b):
        return None
    most, least = np.full(num_pods, -np.inf), np.full(num_pods, np.inf)
    np.maximum.at(most, pod[spine], up_total[spine])
    np.minimum.at(least, pod[spine], up_total[spine])
    is_pod = np.isfinite(most)
    if not np.allclose(most[is_pod], least[is_pod]):
        return None
    upper = tier[low] == 2
    if not _is_even(pod[low[upper]], high[upper], rate[upper], plane[low[upper]], proportion=True):
        return None
    leaf_sum = np.bincount(pod[leaf], weights=passes[leaf], minlength=num_pods)
    spine_sum = np.bincount(pod[spine], weights=up_total[spine], minlength=num_pods)
    pod_plane = np.zeros(num_pods, np.int64)
    pod_plane[pod] = plane
    return _smaller_half(np.minimum(leaf_sum, spine_sum), has_a, pod_plane, is_pod)


def _smaller_half(amount: Float64s, in_a: Bools, plane: Int64s, which: Bools) -> float:
    a = np.bincount(plane[which & in_a], weights=amount[which & in_a], minlength=int(plane.max()) + 1)
    b = np.bincount(plane[which & ~in_a], weights=amount[which & ~in_a], minlength=int(plane.max()) + 1)
    return float(np.minimum(a, b).sum())


def _pieces(num: int, a: Int64s, b: Int64s) -> Int64s:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(num, num)).tocsr()
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _is_even(low: Int64s, high: Int64s, rate: Float64s, piece: Int64s, *, proportion: bool = False) -> bool:
    """Tell whether every lower end is joined to each upper end of its piece with the same share of its capacity.

    `piece` is indexed by lower node, or given for each link with `proportion`, where shares may differ between the
    upper ends but not between the lower ones.
    """
    if not len(low):
        return True
    of_link = piece if proportion else piece[low]
    size = int(high.max()) + 1
    pairs, pair_of = np.unique(low * size + high, return_inverse=True)
    capacity = np.bincount(pair_of, weights=rate)
    pair_low, pair_high = pairs // size, pairs % size
    pair_piece = np.zeros(len(pairs), np.int64)
    pair_piece[pair_of] = of_link
    total = np.bincount(pair_low, weights=capacity)
    share = capacity / total[pair_low]
    low_count = np.bincount(pair_low)
    num_pieces = int(pair_piece.max()) + 1
    highs = np.zeros(num_pieces, np.int64)
    np.add.at(highs, np.unique(pair_piece * size + pair_high) // size, 1)
    if np.any(low_count[pair_low] != highs[pair_piece]):
        return False
    if not proportion:
        return bool(np.allclose(share, 1.0 / highs[pair_piece]))
    key = pair_piece * size + pair_high
    values, of = np.unique(key, return_inverse=True)
    most, least = np.zeros(len(values)), np.full(len(values), np.inf)
    np.maximum.at(most, of, share)
    np.minimum.at(least, of, share)
    return bool(np.allclose(most, least))


# ---- largest flow --------------------------------------------------------------------------------------------------


def largest_flow(fabric: Fabric, half: Bools, kind: LinkKind = LinkKind.SCALE_OUT) -> float:
    """Return the largest flow from the ends of one half to those of the other over links of one kind, bytes/s.

    The ends (NICs, or accelerators where those are wired to each other) are all sources in one half, all sinks in the
    other.
    """
    first = fabric.num_accelerators + fabric.num_nics
    num_switches = fabric.num_nodes - first
    mask = fabric.link_kind == kind
    source, target = fabric.link_source[mask].astype(np.int64), fabric.link_target[mask].astype(np.int64)
    capacity = fabric.link_capacity_bytes_per_s[mask]
    in_half = np.concatenate([half, _nic_half(fabric, half), np.zeros(num_switches, bool)])
    s, t = num_switches, num_switches + 1
    to_end = np.where(in_half, s, t)
    tail = np.where(source >= first, source - first, to_end[source])
    head = np.where(target >= first, target - first, to_end[target])
    keep = (tail != head) & (tail != t) & (head != s)
    return _flow(tail[keep], head[keep], capacity[keep], num_switches + 2, s, t)


def _flow(tail: Int64s, head: Int64s, capacity: Float64s, num: int, s: int, t: int) -> float:
    """Return the largest flow with whole-numbered capacities: exact if they have a common unit, else to 10⁻⁶ of it."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    if not len(tail):
        return 0.0
    key, of = np.unique(tail * num + head, return_inverse=True)
    total = np.bincount(of, weights=capacity).astype(np.float64)
    unit = _unit(total)
    whole = np.floor(total / unit + 1e-6).astype(np.int64)
    graph = coo_array((whole.astype(np.int32), (key // num, key % num)), shape=(num, num)).tocsr()
    return float(maximum_flow(graph, s, t).flow_value) * unit


def _unit(capacity: Float64s) -> float:
    """Return a unit that all capacities are multiples of, if their sum fits into 31 bits in it; else a small one."""
    least = float(capacity.min())
    for parts in range(1, _MAX_PARTS + 1):
        whole = capacity * parts / least
        if np.all(np.abs(whole - np.round(whole)) <= 1e-9 * whole):
            return least / parts if whole.sum() < _INT32_MAX else float(capacity.sum()) / (_INT32_MAX // 2)
    return float(capacity.sum()) / (_INT32_MAX // 2)


# ---- splits of networks of any shape -------------------------------------------------------------------------------


def _spectral(fabric: Fabric) -> Bools | None:
    """Return the half of the hosts by the second eigenvector of the network's Laplacian; None if it is too large."""
    first = fabric.num_accelerators + fabric.num_nics
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    num = fabric.num_nodes - first + fabric.num_hosts
    if num > _MAX_SPECTRAL_NODES:
        return None
    host_of = np.concatenate([fabric.accelerator_host, fabric.nic_host]).astype(np.int64)

    def node(end: npt.NDArray[np.integer]) -> Int64s:
        inside: Int64s = np.where(end >= first, end - first, 0)
        outside = host_of[np.minimum(end, first - 1)] + (fabric.num_nodes - first)
        return np.where(end >= first, inside, outside)

    value = _fiedler(
        node(fabric.link_source[scale_out]),
        node(fabric.link_target[scale_out]),
        fabric.link_capacity_bytes_per_s[scale_out],
        num,
    )
    if value is None:
        return None
    return _first_half(fabric, np.argsort(np.round(value[fabric.num_nodes - first :], 9), kind="stable"))


def _fiedler(a: Int64s, b: Int64s, weight: Float64s, num: int) -> Float64s | None:
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import ArpackError, eigsh

    if num < 4:
        return None
    graph = coo_array((weight / weight.max(), (a, b)), shape=(num, num)).tocsr()
    symmetric = ((graph + graph.T) / 2).tocsr()
    laplacian = diags_array(symmetric.sum(axis=1)) - symmetric
    start = np.random.default_rng(0).normal(size=num)
    try:
        values, vectors = eigsh(laplacian.tocsc(), k=2, sigma=-1e-3, v0=start)
    except (ArpackError, RuntimeError):
        return None
    vector: Float64s = vectors[:, int(np.argmax(values))]
    return vector


def _direct(fabric: Fabric) -> Bisection | None:
    """Return the bisection of accelerators wired to each other: all pass traffic on, so the cut is what crosses."""
    mask = fabric.link_kind == LinkKind.SCALE_UP
    source, target = fabric.link_source[mask], fabric.link_target[mask]
    if not mask.any() or fabric.num_hosts < 2:
        return None
    capacity = fabric.link_capacity_bytes_per_s[mask]
    full = float(np.bincount(source, weights=capacity, minlength=fabric.num_nodes)[: fabric.num_accelerators].sum()) / 2
    splits = [(split_by_place(fabric), "hosts in the order of pods and leaf groups")]
    value = (
        _fiedler(source.astype(np.int64), target.astype(np.int64), capacity, fabric.num_nodes)
        if fabric.num_nodes <= _MAX_SPECTRAL_NODES
        else None
    )
    if value is not None:
        ranked = np.argsort(np.round(value[: fabric.num_accelerators], 9), kind="stable")
        half = np.zeros(fabric.num_accelerators, bool)
        half[ranked[: fabric.num_accelerators // 2]] = True
        splits.append((half, "second eigenvector of the network"))
    found = [(largest_flow(fabric, half, LinkKind.SCALE_UP), split) for half, split in splits]
    flow, split = min(found, key=lambda row: row[0])
    return Bisection("scale-up", flow, full, "largest flow", split)

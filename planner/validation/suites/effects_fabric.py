"""Claims on what networks are made of: each taker knows one form of claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from planner.validation.record import Case
from planner.validation.suites.effects_record import ClaimTaker, Effect, judged, number, numbers
from topologies.fabric import Fabric
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document
from topologies.units import to_us

__all__ = ["FABRIC_CLAIMS"]

_Taken = tuple[Iterable[str], list[Case]]


# Larger claims are left out: building them to count them is not worth the time.
_MOST_ENDPOINTS = 1_000_000


@cache
def _built(text: str) -> Fabric:
    return fabric_of(parse_document("schema_version: 1\n" + text, "claim.yaml"))


def _exact(effect: Effect, name: str, claimed: float, counted: float) -> Case:
    return judged(f"{effect.id}: {name}", claimed, counted, "", range_=(claimed, claimed))


def _pod_counts(effect: Effect) -> _Taken:
    """Take segments and pods of a network whose NICs hang on two ToRs, 128 ports of 400 Gbit/s a switch."""
    names = ("gpus_per_segment", "segments_per_pod", "any_to_any_gpus_per_pod", "any_to_any_planes")
    more = ("rail_only_gpus_per_pod", "rail_only_planes")
    if not all(name in effect.claims for name in names) or "51.2T" not in effect.text:
        return [], []
    claims = {name: number(effect.claims[name], effect.where) for name in (*names, *more) if name in effect.claims}
    if not all(1 <= value <= _MOST_ENDPOINTS for value in claims.values()):
        return [], []
    pod = _dual_tor_pod(claims["gpus_per_segment"] * claims["segments_per_pod"], "together")
    counted: dict[str, float] = {
        "gpus_per_segment": pod.num_accelerators / pod.num_leaf_groups,
        "segments_per_pod": pod.num_leaf_groups,
        "any_to_any_gpus_per_pod": pod.num_accelerators,
        "any_to_any_planes": _planes(pod),
    }
    if all(name in claims for name in more):
        # Spines that see one rail only have ports for as many more hosts: more than there are ports for is refused.
        rails = _dual_tor_pod(claims["rail_only_gpus_per_pod"], "by-rail")
        counted |= {"rail_only_gpus_per_pod": rails.num_accelerators, "rail_only_planes": _planes(rails)}
    return counted, [_exact(effect, name, claims[name], counted[name]) for name in counted]


def _dual_tor_pod(accelerators: float, planes: str) -> Fabric:
    return _built(
        "kind: dual-tor\nname: pod\n"
        f"hosts: {{part: hpn-h800, count: {round(accelerators) // 8}, nic_ports: 2}}\n"
        "network: {tiers: 2, leaf: hpn-128x400g, hosts_a_leaf: 128, uplinks: 60, spines: 60, "
        f"planes: {planes}}}\n"
    )


def _planes(fabric: Fabric) -> int:
    """Return the number of parts of the switch network that no cable joins."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    between = fabric.link_tier >= 2
    source, target = fabric.link_source[between], fabric.link_target[between]
    size = fabric.num_nodes
    graph = coo_matrix((np.ones(len(source)), (source, target)), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    return len(np.unique(label[source]))


def _fat_tree_counts(effect: Effect) -> _Taken:
    """Take end points and switches of a fat tree of three tiers."""
    taken, cases = [], []
    for key, value in effect.claims.items():
        if key != "FT3" or not isinstance(value, Mapping) or not {"endpoints", "switches"} <= set(value):
            continue
        claimed = numbers(value, f"{effect.where}: {key}")
        if not 4 <= claimed["endpoints"] <= _MOST_ENDPOINTS:
            continue
        ports = round((4 * claimed["endpoints"]) ** (1 / 3))
        hosts = round(claimed["endpoints"])
        tree = _built(
            f"kind: fat-tree\nname: tree\nnetwork: {{k: {ports}, switch: qm9700}}\n"
            f"hosts: {{accelerator: h100-sxm, accelerators: 1, nic: connectx-7-400g, nics: 1, count: {hosts}}}\n"
        )
        taken.append(key)
        cases.append(_exact(effect, f"{key} endpoints", claimed["endpoints"], tree.num_nics))
        cases.append(_exact(effect, f"{key} switches", claimed["switches"], int(np.count_nonzero(tree.node_tier > 0))))
    return taken, cases


def _leaf_crossing(effect: Effect) -> _Taken:
    """Take what a spine adds to a message's latency: ``x_cross_leaf_us`` less ``x_same_leaf_us``."""
    switches = {"ib": "qm9700", "roce": "sn5600"}
    taken: list[str] = []
    cases = []
    for word, switch in switches.items():
        near, far = f"{word}_same_leaf_us", f"{word}_cross_leaf_us"
        if near not in effect.claims or far not in effect.claims:
            continue
        fabric = _built(
            f"kind: leaf-spine\nname: two-leaves\nnetwork: {{leaf: {switch}, tiers: 2, hosts_a_leaf: 2}}\n"
            "hosts: {accelerator: h100-sxm, accelerators: 1, nic: connectx-7-400g, nics: 1, count: 4}\n"
        )
        over_spine = fabric.link_latency_s[fabric.link_tier == 2]
        claimed = number(effect.claims[far], effect.where) - number(effect.claims[near], effect.where)
        predicted = to_us(2 * float(over_spine.max()))
        taken += [near, far]
        name = f"{effect.id}: {word} across leaves less under one"
        cases.append(judged(name, claimed, predicted, "us", same_direction=(claimed > 0) == (predicted > 0)))
    return taken, cases


FABRIC_CLAIMS: tuple[ClaimTaker, ...] = (_pod_counts, _fat_tree_counts, _leaf_crossing)

"""Helpers of the tests in this folder: a fabric from text, and its counts."""

from collections import Counter

from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document


def fabric_from(text: str) -> Fabric:
    return fabric_of(parse_document(text, "fabric.yaml"))


def counts(fabric: Fabric) -> dict[str, int]:
    """Return switches by tier, and cables by what they join."""
    switch = Counter(fabric.node_tier[fabric.node_tier > 0].tolist())
    scale_out = Counter(fabric.link_tier[fabric.link_kind == LinkKind.SCALE_OUT].tolist())
    return {
        "hosts": fabric.num_hosts,
        "accelerators": fabric.num_accelerators,
        "leaves": switch[1],
        "spines": switch[2],
        "cores": switch[3],
        "nic_leaf": scale_out[1] // 2,
        "leaf_spine": scale_out[2] // 2,
        "spine_core": scale_out[3] // 2,
    }

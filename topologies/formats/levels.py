"""The switch tree of a fabric as nested groups of hosts, for schedulers that know groups and no links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from topologies.fabric import Fabric
from topologies.formats.slurm_files import TopologyPlan, tree_of_fabric
from topologies.formats.slurm_tree import own_tree

__all__ = ["Level", "host_paths", "levels_of", "tree_of"]

_WORDS = ("leaf", "spine", "core")


@dataclass(frozen=True)
class Level:
    """Groups of hosts of one kind.

    Attributes
    ----------
    word
        ``leaf``, ``spine``, ``core``, ``tier-4``…, or ``accelerator`` for scale-up domains that span hosts.
    group
        ``(num_hosts,)`` name of each host's group.
    """

    word: str
    group: Sequence[str]


def tree_of(fabric: Fabric) -> TopologyPlan:
    """Return the fabric's own switches if they are a tree, else leaf groups, pods and core as one."""
    return own_tree(fabric) or tree_of_fabric(fabric)


def host_paths(plan: TopologyPlan) -> dict[str, list[str]]:
    """Return for each host its switches from the leaf to the root."""
    parent = {child: name for name, children in plan.above.items() for child in children}
    paths = {}
    for leaf, hosts in plan.leaves.items():
        path = [leaf]
        while path[-1] in parent:
            path.append(parent[path[-1]])
        paths.update(dict.fromkeys(hosts, path))
    return paths


def levels_of(fabric: Fabric) -> tuple[list[Level], list[str]]:
    """Return nested levels of more than one group from the widest to the narrowest, and what is not in them.

    Scale-up domains stand where they nest: below the leaves if each is on one leaf group, else above those that they
    hold whole; domains that do neither are left out. Where the tree is less deep, a leaf stands for what is above it.
    """
    plan = tree_of(fabric)
    paths = host_paths(plan)
    hosts = list(fabric.host_names)
    depth = max(map(len, paths.values()))
    levels = []
    for height in range(depth):
        word = _WORDS[height] if height < len(_WORDS) else f"tier-{height + 1}"
        group = [paths[host][min(height, len(paths[host]) - 1)] for host in hosts]
        levels.append(Level(word, group))
    notes = list(plan.notes)
    if fabric.num_domains < fabric.num_hosts:
        domain = Level("accelerator", [f"domain-{int(d) + 1}" for d in fabric.host_domain])
        place = next((i for i, level in enumerate(levels) if _nests(domain, level)), None)
        if place is None or (place and not _nests(levels[place - 1], domain)):
            notes.append("scale-up domains, which cross the groups of hosts on a leaf")
        else:
            levels.insert(place, domain)
    kept: list[Level] = []
    for level in levels:  # one that groups the hosts as the one below does, or all of them, tells nothing
        num_groups = len(set(level.group))
        if num_groups > 1 and not (kept and num_groups == len(set(kept[-1].group))):
            kept.append(level)
    return kept[::-1], notes


def _nests(inner: Level, outer: Level) -> bool:
    """Tell whether each inner group lies in one outer group."""
    return len(set(zip(inner.group, outer.group, strict=True))) == len(set(inner.group))

"""Slurm's topology files from a fabric: ``topology.conf`` (tree, block) and ``topology.yaml``.

They are written for review. Nothing here tells Slurm to read them: a broken topology.conf with ``scontrol reconfigure``
stops slurmctld 22.05.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.hostlist import compress_hosts, expand_hosts, is_host_name

__all__ = ["TopologyPlan", "blocks_of_fabric", "check_topology_conf", "conf_text", "tree_of_fabric", "yaml_text"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class TopologyPlan:
    """What is to be written.

    Attributes
    ----------
    kind
        ``tree`` or ``block``.
    leaves
        Name → hosts of each leaf switch or base block.
    above
        Name → children of each switch above, from the leaves up; empty for blocks.
    block_sizes
        For blocks, in nodes.
    notes
        What an operator should know.
    """

    kind: str
    leaves: Mapping[str, tuple[str, ...]]
    above: Mapping[str, tuple[str, ...]]
    block_sizes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def _switch_name(text: str, taken: Iterable[str]) -> str:
    """Return a name Slurm takes for a switch: letters, digits, dot, dash, underscore, not used before."""
    base = _UNSAFE.sub("-", text).strip("-.") or "switch"
    name, i = base, 1
    while name in taken:
        i += 1
        name = f"{base}-{i}"
    return name


def _hosts(fabric: Fabric) -> list[str]:
    names = [str(fabric.host_names[i]) for i in range(fabric.num_hosts)]
    bad = next((name for name in names if not is_host_name(name)), None)
    if bad is not None:
        raise InputError(
            what="not a host name for Slurm",
            where=fabric.name,
            found=repr(bad),
            allowed="letters, digits, '.', '-' and '_'",
            fix="name the fabric's hosts as Slurm names its nodes",
        )
    return names


def tree_of_fabric(fabric: Fabric) -> TopologyPlan:
    """Return the switch tree: a leaf for hosts on the same leaf switches, then pods, then the core.

    Slurm's tree knows one switch for a host; a rail-optimized leaf group of several switches becomes one.

    Raises
    ------
    InputError
        If a host's name is none for Slurm.
    """
    names = _hosts(fabric)
    leaves: dict[str, tuple[str, ...]] = {}
    pods: dict[int, list[str]] = {}
    several = 0
    pairs = np.unique(np.stack([fabric.host_leaf_group[fabric.nic_host], fabric.nic_leaf]), axis=1)
    num_switches = np.bincount(pairs[0], minlength=fabric.num_leaf_groups)
    switch_of = np.zeros(fabric.num_leaf_groups, np.int64)
    switch_of[pairs[0]] = pairs[1]
    order = np.argsort(fabric.host_leaf_group, kind="stable")
    bounds = np.flatnonzero(np.diff(fabric.host_leaf_group[order])) + 1
    for members in np.split(order, bounds):
        group = int(fabric.host_leaf_group[members[0]])
        several += int(num_switches[group]) > 1
        single = num_switches[group] == 1
        label = str(fabric.node_names[int(switch_of[group])]) if single else f"group{group + 1:03d}"
        name = _switch_name(label, leaves)
        leaves[name] = tuple(names[i] for i in members)
        pods.setdefault(int(fabric.host_pod[members[0]]), []).append(name)
    above: dict[str, tuple[str, ...]] = {}
    if len(pods) > 1 and any(len(children) > 1 for children in pods.values()):
        for pod, children in pods.items():
            above[_switch_name(f"pod{pod + 1:02d}", {*leaves, *above})] = tuple(children)
        tops = list(above)
    else:
        tops = list(leaves)
    if len(tops) > 1:
        above[_switch_name("core", {*leaves, *above})] = tuple(tops)
    notes = (f"{several} leaf groups of several switches (rails) stand as one switch each",) if several else ()
    return TopologyPlan("tree", leaves, above, notes=notes)


def blocks_of_fabric(fabric: Fabric, *, block_sizes: Sequence[int] = ()) -> TopologyPlan:
    """Return blocks: scale-up domains that span hosts, or leaf groups where a domain is one host.

    Parameters
    ----------
    block_sizes
        In nodes; the first is the base block's. Left out, the smallest block, then doubled as often as it fits.

    Raises
    ------
    InputError
        If sizes are not powers of two of the first, or a block has fewer nodes than the base size.
    """
    names = _hosts(fabric)
    spans = fabric.num_domains < fabric.num_hosts
    group_of = fabric.host_domain if spans else fabric.host_leaf_group
    groups: dict[int, list[str]] = {}
    for i, name in enumerate(names):
        groups.setdefault(int(group_of[i]), []).append(name)
    label = "domain" if spans else "leaf"
    leaves = {f"{label}{i + 1:03d}": tuple(hosts) for i, hosts in enumerate(groups.values())}
    smallest = min(len(hosts) for hosts in leaves.values())
    sizes = tuple(block_sizes) or tuple(smallest << k for k in range(16) if 1 << k <= len(leaves))
    bad = [s for s in sizes if s < 1 or s % sizes[0] or (s // sizes[0]).bit_count() != 1]
    if bad or sizes[0] > smallest:
        raise InputError(
            what="block sizes do not fit",
            where=fabric.name,
            found=", ".join(map(str, sizes)),
            allowed=f"a base of at most {smallest} nodes, then powers of two of it",
        )
    uneven = sum(len(hosts) != sizes[0] for hosts in leaves.values())
    notes = (f"{uneven} blocks have more nodes than the base size; Slurm counts {sizes[0]} each",) if uneven else ()
    return TopologyPlan("block", leaves, {}, sizes, notes)


def conf_text(plan: TopologyPlan) -> str:
    """Return the text of ``topology.conf``, read back and compared before it is returned."""
    lines = ["# Written by scaleplan for review. Slurm reads it after a restart or reconfigure, which is yours to do."]
    lines += [f"# {note}" for note in plan.notes]
    word = "BlockName" if plan.kind == "block" else "SwitchName"
    lines += [f"{word}={name} Nodes={compress_hosts(hosts)}" for name, hosts in plan.leaves.items()]
    lines += [f"SwitchName={name} Switches={','.join(children)}" for name, children in plan.above.items()]
    if plan.kind == "block":
        lines.append(f"BlockSizes={','.join(map(str, plan.block_sizes))}")
    text = "\n".join(lines) + "\n"
    faults = check_topology_conf(text, known={host for hosts in plan.leaves.values() for host in hosts})
    if faults:
        raise InputError(what="the topology is not one that Slurm takes", where="topology.conf", found=faults[0])
    return text


def yaml_text(plan: TopologyPlan, *, name: str = "scaleplan") -> str:
    """Return the text of ``topology.yaml`` (from 25.05). The list has one topology, the cluster's default."""
    conf_text(plan)  # the same checks
    lines = ["---", "# Written by scaleplan for review.", *(f"# {note}" for note in plan.notes)]
    lines += [f"- topology: {name}", "  cluster_default: true"]
    if plan.kind == "block":
        lines += ["  block:", "    block_sizes:", *(f"      - {size}" for size in plan.block_sizes), "    blocks:"]
        for block, hosts in plan.leaves.items():
            lines += [f"      - block: {block}", f"        nodes: {compress_hosts(hosts)}"]
    else:
        lines += ["  tree:", "    switches:"]
        for switch, children in plan.above.items():
            lines += [f"      - switch: {switch}", f"        children: {','.join(children)}"]
        for switch, hosts in plan.leaves.items():
            lines += [f"      - switch: {switch}", f"        nodes: {compress_hosts(hosts)}"]
    return "\n".join(lines) + "\n"


def check_topology_conf(text: str, *, known: set[str] | None = None) -> list[str]:
    """Return what is wrong with a ``topology.conf``, in words: what stops slurmctld or makes nodes unreachable.

    Parameters
    ----------
    known
        Names of Slurm's nodes; each must be there once.
    """
    faults: list[str] = []
    seen: dict[str, str] = {}
    parent: dict[str, str] = {}
    names: list[str] = []
    leaf_names: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = dict(word.split("=", 1) for word in line.partition("#")[0].split() if "=" in word)
        lowered = {key.lower(): value for key, value in words.items()}
        name = lowered.get("switchname") or lowered.get("blockname")
        if not lowered or name is None:
            if lowered and "blocksizes" not in lowered:
                faults.append(f"line {number}: neither a switch nor a block")
            continue
        if name in names:
            faults.append(f"line {number}: {name} stands there twice")
        names.append(name)
        try:
            hosts = expand_hosts(lowered.get("nodes", ""), where=f"line {number}")
            children = expand_hosts(lowered.get("switches", ""), where=f"line {number}")
        except InputError as error:
            faults.append(str(error))
            continue
        if not hosts and not children:
            faults.append(f"line {number}: {name} has neither nodes nor switches")
        if hosts:
            leaf_names.add(name)
        for host in hosts:
            if host in seen:
                faults.append(f"line {number}: {host} is under {seen[host]} and under {name}")
            seen[host] = name
        for child in children:
            if child in parent:
                faults.append(f"line {number}: {child} is under {parent[child]} and under {name}")
            parent[child] = name
    faults += [f"{child} is under {parent[child]} and is not defined" for child in parent if child not in names]
    faults += [f"{name} is part of a ring of switches" for name in names if _is_in_ring(name, parent)][:1]
    tops = [name for name in names if name not in parent]
    if parent and len(tops) > 1:
        faults.append(f"{len(tops)} trees do not meet: {', '.join(tops[:5])}; jobs cannot span them")
    if known is not None:
        missing, extra = sorted(known - seen.keys()), sorted(seen.keys() - known)
        if missing:
            faults.append(f"{len(missing)} nodes are in no switch or block: {compress_hosts(missing[:50])}")
        if extra:
            faults.append(f"{len(extra)} nodes are not Slurm's: {compress_hosts(extra[:50])}")
    return faults


def _is_in_ring(name: str, parent: Mapping[str, str]) -> bool:
    at, steps = parent.get(name), 0
    while at is not None and at != name and steps <= len(parent):
        at, steps = parent.get(at), steps + 1
    return at == name

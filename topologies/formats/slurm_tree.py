"""Slurm's tree or blocks as a fabric, and a fabric that is a tree as Slurm's switches.

Slurm knows which hosts share a switch and nothing of cables. So each switch has one cable up, as wide as an assumed
oversubscription says, and every host hangs on one leaf by all its NICs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.formats.hosts import HostRow, accelerator_part, accelerators_inside, add_rows
from topologies.formats.registry import Imported, ReadOptions
from topologies.formats.slurm_files import TopologyPlan
from topologies.formats.wiring import built, host_pattern
from topologies.kinds.hosts import LINK_LATENCY_US
from topologies.units import from_gbps, from_us

__all__ = ["fabric_of_plan", "own_tree", "plan_losses"]

ASSUMED_GPUS = 8
"""Accelerators of a host that no file tells: the 8 of DGX and HGX A100 to B300."""

ASSUMED_NIC_GBPS = 400.0
"""Rate of a NIC that no file tells, 10⁹ bit/s: one 400 Gb/s NIC an accelerator is the published reference design of
8-GPU hosts since 2022. Source: NVIDIA DGX SuperPOD H100 reference architecture RA-11333-001 (2023)."""

ASSUMED_OVERSUBSCRIPTION = 2.0
"""Rate down over rate up of leaf switches that no file tells."""

_NVL_TRAY = 4
_NVL_DOMAINS = (36, 72)
"""Accelerators of NVL36 and NVL72, whose hosts (trays) hold four. Source: part gb200-tray of the catalogue."""


def fabric_of_plan(
    plan: TopologyPlan,
    options: ReadOptions,
    *,
    name: str,
    format: str,
    source: str,
    left_out: Sequence[str] = (),
    domains: Mapping[str, str] | None = None,
    guesses: Sequence[str] = (),
) -> Imported:
    """Return the fabric of switches or blocks.

    Parameters
    ----------
    domains
        Scale-up domain of hosts by name, where the file says; others are domains of their own.
    guesses
        What the caller guessed already.

    Raises
    ------
    InputError
        If there is no host.
    """
    left_out = list(left_out)
    if options.hosts:
        plan = _matching(plan, options.hosts, source, left_out)
    hosts = [host for members in plan.leaves.values() for host in members]
    if domains:
        first = {domain: i for i, domain in reversed(list(enumerate(domains.values())))}
        hosts.sort(key=lambda host: first[domains[host]] if host in domains else len(first))
    guesses = list(guesses)
    gpus = _gpus(hosts, options, guesses)
    nic_gbps = options.nic_gbps or ASSUMED_NIC_GBPS
    labels = _nics(gpus, options)
    if options.nic_gbps is None or options.nics is None:
        each = (
            f"{options.nics}" if options.nics else "as inside a host" if options.inside else "one for each accelerator"
        )
        guesses.append(f"NICs of {nic_gbps:g} Gb/s, {each}, all on the host's leaf switch; NIC i is on rail i")
    rows = [
        HostRow(
            name=host,
            nics=own,
            rails=tuple(range(len(own))),
            nic_bytes_per_s=(from_gbps(nic_gbps),) * len(own),
        )
        for host, own in zip(hosts, labels, strict=True)
    ]
    word = "Slurm's topology" if format.startswith("slurm") else "Topology"
    builder = FabricBuilder(options.name or name, description=f"{word}, from {source}.")
    told = ReadOptions(**{**vars(options), "gpus_of": dict(zip(hosts, gpus, strict=True)), "accelerators": None})
    nic_ids = add_rows(
        builder,
        rows,
        told,
        is_infiniband=True,
        guesses=guesses,
        domain_of_row=_stated(hosts, domains) if domains else _domains(plan, gpus, options, guesses),
    )
    _add_switches(builder, plan, nic_ids, from_gbps(nic_gbps), options, guesses)
    guesses.append("latencies are those of InfiniBand between H800 hosts (arXiv:2505.09343)")
    builder.assumptions += guesses
    fabric = built(builder, source)
    all_guessed = [True] * (fabric.num_links // 2)
    return Imported(fabric, format, tuple(guesses), tuple(left_out), rate_is_guessed=all_guessed)


def _matching(plan: TopologyPlan, pattern: str, source: str, left_out: list[str]) -> TopologyPlan:
    """Return the plan with the hosts that match, without the switches that lose all of theirs."""
    wanted = host_pattern(pattern)
    kept = {name: tuple(h for h in members if wanted.search(h)) for name, members in plan.leaves.items()}
    gone = sum(map(len, plan.leaves.values())) - sum(map(len, kept.values()))
    leaves = {name: members for name, members in kept.items() if members}
    if not leaves:
        raise InputError(what="no host matches", where=source, found=f"--hosts {pattern}", fix="check the pattern")
    if gone:
        left_out.append(f"{gone} hosts that --hosts {pattern} does not match")
    above = dict(plan.above)
    while True:
        there = {*leaves, *above}
        smaller = {name: tuple(c for c in children if c in there) for name, children in above.items()}
        smaller = {name: children for name, children in smaller.items() if children or name in leaves}
        if smaller == above:
            return TopologyPlan(plan.kind, leaves, above, plan.block_sizes, plan.notes)
        above = smaller


def _gpus(hosts: Sequence[str], options: ReadOptions, guesses: list[str]) -> list[int]:
    if options.inside is not None:
        return [accelerators_inside(options.inside, options)] * len(hosts)
    if options.accelerators is not None:
        return [options.accelerators] * len(hosts)
    unknown = [host for host in hosts if not options.gpus_of.get(host)]
    if unknown:
        which = (
            "a host" if len(unknown) == len(hosts) else f"on {len(unknown)} hosts that the nodes' file does not have"
        )
        guesses.append(f"{ASSUMED_GPUS} accelerators {which}")
    return [options.gpus_of.get(host) or ASSUMED_GPUS for host in hosts]


def _nics(gpus: Sequence[int], options: ReadOptions) -> list[tuple[str, ...]]:
    """Return the NICs of each host: as told, as a file of its inside says, else one for each accelerator."""
    if options.inside is not None and options.nics is None:
        near = sorted({nic for _, nic, _ in options.inside.nearest})
        if near:
            return [tuple(options.inside.nics[nic] for nic in near)] * len(gpus)
    return [tuple(f"nic{i}" for i in range(options.nics or count)) for count in gpus]


def _domains(
    plan: TopologyPlan, gpus: Sequence[int], options: ReadOptions, guesses: list[str]
) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """Return the scale-up domain of each host where blocks are such domains; None where a domain is a host."""
    if plan.kind != "block":
        return None
    sizes = [len(members) for members in plan.leaves.values()]
    start = np.concatenate([[0], np.cumsum(sizes)])
    totals = np.add.reduceat(np.asarray(gpus), start[:-1])
    part = accelerator_part(options)
    most = int(totals.max())
    if part is not None:
        is_domain = int(part.number("scale_up_domain", 0)) >= most > max(gpus)
        why = f"part {part.id} has domains of {int(part.number('scale_up_domain', 0))}"
    else:
        is_domain = most in _NVL_DOMAINS and set(gpus) == {_NVL_TRAY}
        why = f"hosts of {_NVL_TRAY} in blocks of {most}, as NVL{most}"
    if not is_domain:
        guesses.append("a block is a leaf switch, not a scale-up domain")
        return None
    guesses.append(f"a block is a scale-up domain: {why}")
    return np.repeat(np.arange(len(sizes)), sizes)


def _stated(hosts: Sequence[str], domains: Mapping[str, str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the number of each host's domain; hosts without one have one each."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(domains.get(host) or f"\n{host}", len(number)) for host in hosts], np.int64)


def _add_switches(
    builder: FabricBuilder,
    plan: TopologyPlan,
    nic_ids: Mapping[str, int],
    nic_bytes_per_s: float,
    options: ReadOptions,
    guesses: list[str],
) -> None:
    """Add the switches, the hosts' cables, and one cable up from each switch."""
    ratio = options.oversubscription or ASSUMED_OVERSUBSCRIPTION
    latency_s = from_us(LINK_LATENCY_US["InfiniBand"])
    parent = {child: name for name, children in plan.above.items() for child in children}
    above = dict(plan.above)
    tops = [name for name in (*plan.leaves, *above) if name not in parent]
    if len(tops) > 1:
        top = _free_name("top", {*plan.leaves, *above})
        above[top] = tuple(tops)
        parent.update(dict.fromkeys(tops, top))
        guesses.append(f"{len(tops)} switches or blocks without one above them meet in a switch {top!r}")
    height = _heights(plan.leaves, above)
    ids = {name: builder.add_switch(name, tier=height[name]) for name in (*plan.leaves, *above)}
    leaf_of = {host: leaf for leaf, members in plan.leaves.items() for host in members}
    leaf_of_nic = [leaf_of[nic.rpartition("/")[0]] for nic in nic_ids]
    rate = {leaf: count * nic_bytes_per_s / ratio for leaf, count in Counter(leaf_of_nic).items()}
    builder.add_cables(
        list(nic_ids.values()),
        [ids[leaf] for leaf in leaf_of_nic],
        rate_bytes_per_s=nic_bytes_per_s,
        latency_s=latency_s,
    )
    for name in sorted(height, key=lambda n: height[n]):
        up = parent.get(name)
        if up is not None:
            builder.connect(ids[name], ids[up], rate_bytes_per_s=rate[name], latency_s=latency_s)
            rate[up] = rate.get(up, 0.0) + rate[name]
    if parent and options.oversubscription is None:
        guesses.append(f"one cable up from each switch; leaf switches oversubscribed {ratio:g}:1, those above not")


def _free_name(wanted: str, taken: set[str]) -> str:
    name, i = wanted, 1
    while name in taken:
        i += 1
        name = f"{wanted}-{i}"
    return name


def _heights(leaves: Mapping[str, Sequence[str]], above: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the tier of each switch: 1 for one that only hosts hang on, else one more than its highest child."""
    height: dict[str, int] = {name: 1 for name in leaves if name not in above}
    waiting = dict(above)
    while waiting:
        ready = [name for name, children in waiting.items() if all(child in height for child in children)]
        for name in ready:
            height[name] = 1 + max((height[child] for child in waiting.pop(name)), default=0)
        if not ready:  # a ring, which the readers refuse
            height.update(dict.fromkeys(waiting, 1))
            break
    return height


def own_tree(fabric: Fabric) -> TopologyPlan | None:
    """Return a fabric's own switches as a plan, if they are a tree with each host on one switch; else None."""
    first = fabric.num_accelerators + fabric.num_nics
    is_switch = fabric.node_kind == NodeKind.SWITCH
    if not fabric.num_nics:
        return None
    lowest = np.full(fabric.num_hosts, fabric.num_nodes)
    np.minimum.at(lowest, fabric.nic_host, fabric.nic_leaf)
    highest = np.full(fabric.num_hosts, -1)
    np.maximum.at(highest, fabric.nic_host, fabric.nic_leaf)
    if not np.array_equal(lowest, highest):
        return None
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    source, target = fabric.link_source[scale_out], fabric.link_target[scale_out]
    up = (source >= first) & (target >= first) & (fabric.node_tier[target] > fabric.node_tier[source])
    level = (source >= first) & (target >= first) & (fabric.node_tier[target] == fabric.node_tier[source])
    pairs = np.unique(np.stack([source[up], target[up]]), axis=1)
    if level.any() or len(np.unique(pairs[0])) != pairs.shape[1]:
        return None
    if pairs.shape[1] != int(is_switch.sum()) - 1:
        return None
    names = fabric.node_names
    leaves: dict[str, list[str]] = {}
    for host in range(fabric.num_hosts):
        leaves.setdefault(names[int(lowest[host])], []).append(fabric.host_names[host])
    above: dict[str, list[str]] = {}
    for child, parent in sorted(pairs.T.tolist(), key=lambda pair: (int(fabric.node_tier[pair[1]]), pair[1], pair[0])):
        above.setdefault(names[parent], []).append(names[child])
    return TopologyPlan("tree", {k: tuple(v) for k, v in leaves.items()}, {k: tuple(v) for k, v in above.items()})


def plan_losses(fabric: Fabric, plan: TopologyPlan) -> list[str]:
    """Return what Slurm's topology does not say of a fabric."""
    losses = ["accelerators, NICs, rails and parts of hosts", "rates, latencies and number of cables"]
    num_switches = int(np.count_nonzero(fabric.node_kind == NodeKind.SWITCH))
    written = len(plan.leaves) + len(plan.above)
    if plan.kind == "block":
        losses.append(f"the {num_switches} switches; hosts stand in {len(plan.leaves)} blocks")
    elif written != num_switches:
        losses.append(f"{num_switches} switches stand as a tree of {written}")
    if len(fabric.rack_names):
        losses.append("racks")
    return [*losses, *plan.notes]

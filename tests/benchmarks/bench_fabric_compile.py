"""Compile rail-optimized three-tier fabrics from their files and cut them in half, beside the same in networkx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import networkx as nx
import numpy as np

from tests.benchmarks.measure import peak_memory_bytes, side_by_side, timed
from tests.benchmarks.table import Table
from topologies.bill.bill import bill_of
from topologies.bill.bisection import bisection_of, largest_flow, split_by_place
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import load_fabric

GIB = 2**30


def plain_networkx(fabric: Fabric) -> Callable[[], nx.MultiDiGraph]:
    """Return what builds the same nodes and links, from lists made beforehand, as a script would."""
    names = list(fabric.node_names)
    kinds = fabric.node_kind.tolist()
    ends = np.stack([fabric.link_source, fabric.link_target], axis=1).tolist()
    rates = fabric.link_capacity_bytes_per_s.tolist()
    latencies = fabric.link_latency_s.tolist()

    def build() -> nx.MultiDiGraph:
        graph = nx.MultiDiGraph()
        for name, kind in zip(names, kinds, strict=True):
            graph.add_node(name, kind=kind)
        for (source, target), rate, latency in zip(ends, rates, latencies, strict=True):
            graph.add_edge(names[source], names[target], rate_bytes_per_s=rate, latency_s=latency)
        return graph

    return build


def compiled_and_cut(name: str) -> float:
    """Build a fabric from its file and reckon its bisection bandwidth."""
    found = bisection_of(load_fabric(name))
    return found.bytes_per_s if found else 0.0


def networkx_cut(fabric: Fabric) -> Callable[[], float]:
    """Return what finds the largest flow between the halves in networkx, the NICs of each half drawn into one node."""
    first = fabric.num_accelerators + fabric.num_nics
    half = np.zeros(fabric.num_hosts, bool)
    half[fabric.accelerator_host[split_by_place(fabric)]] = True
    link = np.flatnonzero(fabric.link_kind == LinkKind.SCALE_OUT)
    graph: nx.DiGraph = nx.DiGraph()

    def end(node: int) -> object:
        return node if node >= first else ("a" if half[fabric.nic_host[node - fabric.num_accelerators]] else "b")

    for i in link.tolist():
        a, b = end(int(fabric.link_source[i])), end(int(fabric.link_target[i]))
        rate = float(fabric.link_capacity_bytes_per_s[i])
        if graph.has_edge(a, b):
            graph[a][b]["capacity"] += rate
        else:
            graph.add_edge(a, b, capacity=rate)
    return lambda: float(nx.maximum_flow_value(graph, "a", "b"))


def bench(table: Table) -> None:
    load_fabric("dgx-h100-superpod-1su")  # imports, which are no part of a fabric
    ours_bytes = peak_memory_bytes(lambda: load_fabric("hgx-h100-131072"))  # first, while this process is small
    large = load_fabric("hgx-h100-131072")
    reference_bytes = peak_memory_bytes(plain_networkx(large))
    held_bytes = sum(value.nbytes for value in vars(large).values() if isinstance(value, np.ndarray))
    for name, at_most_s in (("hgx-h100-16384", 1.0), ("hgx-h100-131072", 8.0)):
        build = plain_networkx(load_fabric(name))
        if name == "hgx-h100-16384":
            ours, reference = side_by_side(partial(load_fabric, name), build, repeat=3)
        else:
            ours, reference = timed(partial(load_fabric, name)), timed(build, repeat=1)
        table.add(
            f"compile {name}",
            ours.median_s,
            against="networkx",
            reference=reference.median_s,
            at_most=at_most_s,
            times_at_least=10,
        )
        table.add(f"compile and bisect {name}", timed(partial(compiled_and_cut, name)).median_s, at_most=at_most_s)
        fabric = load_fabric(name)
        bill_of(fabric)  # what it imports
        table.add(f"the whole bill of {name}", timed(partial(bill_of, fabric), repeat=1).median_s)
    fabric = load_fabric("dgx-b200-superpod-16su")
    flow = partial(largest_flow, fabric, split_by_place(fabric))
    ours, reference = side_by_side(flow, networkx_cut(fabric), repeat=1)
    table.add(
        "bisection by largest flow, dgx-b200-superpod-16su",
        ours.median_s,
        against="networkx",
        reference=reference.median_s,
        times_at_least=10,
    )
    for case, figure, times in (("peak memory", ours_bytes, None), ("memory held", held_bytes, 5)):
        table.add(
            f"{case}, hgx-h100-131072",
            figure / GIB,
            unit="GiB",
            against="networkx",
            reference=reference_bytes / GIB,
            at_most=2.0,
            times_at_least=times,
        )

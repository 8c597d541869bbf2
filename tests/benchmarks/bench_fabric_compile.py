"""Compile rail-optimized three-tier fabrics from their files, beside the same graph built in plain networkx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import networkx as nx
import numpy as np

from tests.benchmarks.measure import peak_memory_bytes, side_by_side, timed
from tests.benchmarks.table import Table
from topologies.fabric import Fabric
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

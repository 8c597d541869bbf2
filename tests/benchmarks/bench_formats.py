"""Read files of other tools for 10,000 nodes: ibnetdiscover, Slurm, and whatever else is written that large."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.measure import timed
from tests.benchmarks.table import Table
from tests.topologies.fabrics import fabric_from
from tests.topologies.formats.texts import ibnetdiscover_text
from topologies.fabric import Fabric
from topologies.formats.importing import export_fabric, import_sources
from topologies.formats.registry import ReadOptions
from topologies.formats.source import Source

MOST_S = 5.0
"""Target: a 10,000-node ibnetdiscover or topology.conf in less than this."""

DESIGN = """\
schema_version: 1
kind: {kind}
name: n10000
hosts: {{count: 10000, accelerator: h200-sxm, accelerators: {gpus}, nic: connectx-7-400g, nics: {nics}}}
network: {{leaf: qm9700, tiers: 3{planes}}}
"""


def design(nics: int) -> Fabric:
    """Return 10,000 hosts with so many NICs on three tiers of 64-port switches."""
    kind, planes = ("rail-optimized", ", planes: by-rail") if nics > 1 else ("leaf-spine", "")
    return fabric_from(DESIGN.format(kind=kind, gpus=nics, nics=nics, planes=planes))


def bench(table: Table) -> None:
    small = fabric_from(DESIGN.format(kind="leaf-spine", gpus=1, nics=1, planes="").replace("10000", "64"))
    read("ibnetdiscover", ibnetdiscover_text(small))  # imports, which are no part of a file
    one = design(1)
    conf = export_fabric(one, "slurm-conf").text
    table.add(
        f"topology.conf, {one.num_hosts:,} nodes", timed(partial(read, "slurm-conf", conf)).median_s, at_most=MOST_S
    )
    text = ibnetdiscover_text(one)
    cables = one.num_links // 2
    table.add(
        f"ibnetdiscover, {one.num_hosts:,} nodes, {len(text) / 1e6:.0f} MB",
        timed(partial(read, "ibnetdiscover", text)).median_s,
        at_most=MOST_S,
    )
    for format in ("netbox", "simai", "topograph", "fabric"):
        text = export_fabric(one, format).text
        seconds = timed(partial(read, format, text), repeat=1).median_s
        table.add(f"{format}, {one.num_hosts:,} nodes, {len(text) / 1e6:.1f} MB", seconds)
    eight = design(8)
    text = ibnetdiscover_text(eight)
    table.add(
        f"ibnetdiscover, {eight.num_hosts:,} nodes of 8 NICs, {len(text) / 1e6:.0f} MB",
        timed(partial(read, "ibnetdiscover", text), repeat=1).median_s,
    )
    table.add("cables of the first ibnetdiscover", cables, unit="")


def read(format: str, text: str) -> Fabric:
    """Return the fabric of a text."""
    return import_sources([Source("file.txt", text)], format=format, options=ReadOptions(accelerator="h200-sxm")).fabric

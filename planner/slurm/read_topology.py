"""Read Slurm's topology: ``scontrol show topology`` of tree and block, of 22.05 to 26.05."""

from __future__ import annotations

from collections.abc import Sequence

from planner.slurm.commands import SlurmCommands
from planner.slurm.records import PartitionRecord, SlurmTopology, TopologyUnit
from topologies.hostlist import expand_hosts

__all__ = ["parse_topology", "read_partition_kinds", "read_topology"]


def read_topology(commands: SlurmCommands, *, name: str = "") -> SlurmTopology:
    """Ask for the topology; `name` picks one of several (from 25.05)."""
    argv = ["scontrol", "show", "topology"] + ([f"topology={name}"] if name else [])
    return parse_topology(commands.run(argv, check=False).stdout)


def read_partition_kinds(commands: SlurmCommands, partitions: Sequence[PartitionRecord]) -> dict[str, str]:
    """Ask what kind of topology each partition has that names one of its own (from 25.05)."""
    names = {partition.topology for partition in partitions if partition.topology}
    kinds = {name: read_topology(commands, name=name).kind for name in sorted(names)}
    return {partition.name: kinds[partition.topology] for partition in partitions if partition.topology}


def parse_topology(text: str) -> SlurmTopology:
    """Parse ``scontrol show topology``; text without switches or blocks gives a flat topology."""
    rows = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in text.splitlines()]
    switches = [row for row in rows if "SwitchName" in row]
    blocks = [row for row in rows if "BlockName" in row]
    joined = [row for row in rows if "AggregatedBlock" in row]
    if blocks:
        units = tuple(TopologyUnit(row["BlockName"], 0, expand_hosts(row.get("Nodes", ""))) for row in blocks)
        sizes = {int(row["BlockSize"]) for row in blocks + joined if row.get("BlockSize", "").isdigit()}
        return SlurmTopology("block", units, tuple(sorted(sizes)))
    if switches:
        units = tuple(
            TopologyUnit(
                row["SwitchName"],
                int(row.get("Level", "0")),
                expand_hosts(row.get("Nodes", "")),
                expand_hosts(row.get("Switches", "")),
            )
            for row in switches
        )
        return SlurmTopology("tree", units)
    return SlurmTopology("flat")

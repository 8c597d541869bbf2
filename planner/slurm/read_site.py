"""Read nodes, partitions, reservations and the configuration from ``scontrol``'s one-line text."""

from __future__ import annotations

import re

from planner.slurm.commands import SlurmCommands
from planner.slurm.read_jobs import parse_duration, parse_gpus, parse_time
from planner.slurm.records import NodeRecord, PartitionRecord, ReservationRecord, SiteConfig
from topologies.hostlist import expand_hosts, is_host_name

__all__ = [
    "parse_config",
    "parse_nodes",
    "parse_partitions",
    "parse_reservations",
    "read_config",
    "read_nodes",
    "read_partitions",
    "read_reservations",
]

_STATE_MARKS = {
    "*": "NOT_RESPONDING",
    "~": "POWERED_DOWN",
    "#": "POWERING_UP",
    "!": "POWERING_DOWN",
    "%": "POWERING_DOWN",
    "$": "MAINT",
    "@": "REBOOT",
    "^": "REBOOT_ISSUED",
    "-": "PLANNED",
}
_GPU_KIND = re.compile(r"gpu:([A-Za-z][\w.\-]*)[:(]", re.ASCII)


def _words(line: str) -> dict[str, str]:
    """Return the ``Key=value`` words of a line; the first of a key counts, since free texts come last."""
    found: dict[str, str] = {}
    for word in line.split():
        key, equals, value = word.partition("=")
        if equals:
            found.setdefault(key, value)
    return found


def _records(text: str, key: str) -> list[dict[str, str]]:
    """Return the words of each record that begins with `key`, whether it is on one line or on several."""
    blocks = re.split(rf"^(?={key}=)", text, flags=re.MULTILINE)
    return [_words(block) for block in blocks if block.startswith(f"{key}=")]


def _number(text: str | None, default: int = 0) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else default


def _list(text: str | None) -> tuple[str, ...]:
    return () if text in (None, "", "(null)") else tuple(str(text).split(","))


def read_nodes(commands: SlurmCommands) -> tuple[NodeRecord, ...]:
    """Ask for every node, with the GPUs in use."""
    return parse_nodes(commands.run(["scontrol", "-o", "-d", "show", "nodes"]).stdout)


def parse_nodes(text: str) -> tuple[NodeRecord, ...]:
    """Parse ``scontrol [-o] [-d] show nodes``; without ``-d`` the GPUs in use come from AllocTRES where it has them."""
    nodes = []
    for words in _records(text, "NodeName"):
        name = words["NodeName"]
        if not is_host_name(name):
            continue
        state, flags = _parse_state(words.get("State", "UNKNOWN"))
        gres = words.get("Gres", "")
        used = words.get("GresUsed")
        kind = _GPU_KIND.search(gres)
        nodes.append(
            NodeRecord(
                name=name,
                state=state,
                flags=flags,
                cpus=_number(words.get("CPUEfctv"), _number(words.get("CPUTot"))),
                cpus_used=_number(words.get("CPUAlloc")),
                memory_mib=_number(words.get("RealMemory")),
                memory_used_mib=_number(words.get("AllocMem")),
                gpus=parse_gpus(gres),
                gpus_used=parse_gpus(used) if used is not None else _gpus_of_tres(words.get("AllocTRES", "")),
                gpu_kind=kind.group(1) if kind else "",
                features=_list(words.get("ActiveFeatures", words.get("AvailableFeatures"))),
                partitions=_list(words.get("Partitions")),
            )
        )
    return tuple(nodes)


def _gpus_of_tres(text: str) -> int:
    """Return the GPUs of ``cpu=4,gres/gpu=8,gres/gpu:h100=8``: the plain count if given, else the sum of the kinds."""
    plain = re.search(r"gres/gpu=(\d+)", text)
    return int(plain.group(1)) if plain else parse_gpus(text)


def _parse_state(text: str) -> tuple[str, frozenset[str]]:
    """Split ``IDLE+DRAIN`` or ``DOWN*`` into the base state and its flags."""
    flags: set[str] = set()
    while text and text[-1] in _STATE_MARKS:
        flags.add(_STATE_MARKS[text[-1]])
        text = text[:-1]
    base, *others = text.split("+")
    return base, frozenset(flags | set(others))


def read_partitions(commands: SlurmCommands) -> tuple[PartitionRecord, ...]:
    """Ask for every partition."""
    return parse_partitions(commands.run(["scontrol", "-a", "-o", "show", "partitions"]).stdout)


def parse_partitions(text: str) -> tuple[PartitionRecord, ...]:
    """Parse ``scontrol [-o] show partitions``."""
    return tuple(
        PartitionRecord(
            name=words["PartitionName"],
            nodes=expand_hosts(words.get("Nodes", ""), where=f"partition {words['PartitionName']}"),
            is_up=words.get("State", "UP") == "UP",
            max_nodes=_number(words.get("MaxNodes"), -1) if words.get("MaxNodes", "").isdigit() else None,
            max_time_s=parse_duration(words.get("MaxTime", "")),
            default_time_s=parse_duration(words.get("DefaultTime", "")),
            priority_tier=_number(words.get("PriorityTier"), 1),
            is_default=words.get("Default") == "YES",
            topology="" if words.get("Topology") in (None, "(null)", "NONE") else str(words["Topology"]),
        )
        for words in _records(text, "PartitionName")
    )


def read_reservations(commands: SlurmCommands) -> tuple[ReservationRecord, ...]:
    """Ask for every reservation."""
    return parse_reservations(commands.run(["scontrol", "-o", "show", "reservations"]).stdout)


def parse_reservations(text: str) -> tuple[ReservationRecord, ...]:
    """Parse ``scontrol [-o] show reservations``; one without nodes (licences only) is left out."""
    found = []
    for words in _records(text, "ReservationName"):
        nodes = expand_hosts(words.get("Nodes", ""), where=f"reservation {words['ReservationName']}")
        start_s = parse_time(words.get("StartTime", ""))
        end_s = parse_time(words.get("EndTime", ""))
        if nodes and start_s is not None:
            found.append(ReservationRecord(words["ReservationName"], nodes, start_s, end_s or float("inf")))
    return tuple(found)


def read_config(commands: SlurmCommands) -> SiteConfig:
    """Ask for the configuration in force."""
    return parse_config(commands.run(["scontrol", "show", "config"]).stdout)


def parse_config(text: str) -> SiteConfig:
    """Parse ``scontrol show config``: ``Key = value`` lines; the first of a key counts."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][\w./ -]*", key.strip(), re.ASCII):
            values.setdefault(key.strip().lower(), value.strip())
    return SiteConfig(values)

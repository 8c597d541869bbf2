"""Read hardware out of the free text of published set-ups: ``8x B200, 8x400G NDR``, ``4-64 nodes``."""

from __future__ import annotations

import re

from planner.validation.suites.measured_systems import Setup
from planner.validation.suites.reference_systems import accelerator_part
from topologies.errors import InputError
from topologies.units import to_gb_per_s, to_gbps

__all__ = ["nodes_in", "setup_of_text"]

_ACCELERATOR = re.compile(r"(?:(\d{1,3})\s*x\s*)?\b(GB300|GB200|GH200|B300|B200|H200|H100|H800|A100)\b", re.IGNORECASE)
_NICS = re.compile(r"(\d{1,3})\s*x\s*(\d{2,4})\s*G\b", re.IGNORECASE)
_NODES = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s+nodes?\b", re.IGNORECASE)
_TRAY_DOMAIN = 4
_BASEBOARD = 8


def nodes_in(text: str) -> list[int]:
    """Return the numbers of nodes that a text names, both ends of a range."""
    return [int(number) for pair in _NODES.findall(text) for number in pair if number]


def setup_of_text(text: str, *, nodes: int, where: str, a_node: int | None = None) -> Setup:
    """Return `nodes` nodes of the hardware that a text names; what it leaves out is as the accelerator's part says.

    Raises
    ------
    InputError
        If it names no known accelerator.
    """
    found = _ACCELERATOR.search(text)
    part = accelerator_part(found.group(2).lower()) if found else None
    if found is None or part is None:
        raise InputError(what="the set-up names no known accelerator", where=where, found=repr(text))
    word = found.group(2).lower()
    rack = word.startswith("gb")
    a_host = _TRAY_DOMAIN if rack else int(found.group(1) or _BASEBOARD)
    nics = _NICS.search(text)
    num_nics = int(nics.group(1)) if nics else a_host
    nic_gbps = float(nics.group(2)) if nics else to_gbps(part.number("scale_out_bytes_per_s", 0.0))
    used = a_node or a_host
    return Setup(
        case_id=word,
        collective="",
        quality="",
        source="",
        accelerator=word,
        num_ranks=nodes * used,
        num_hosts=nodes,
        accelerators_a_host=used,
        scale_up_domain=int(part.number("scale_up_domain", _BASEBOARD)) if rack else used,
        num_racks=0,
        scale_up_gb_per_s=to_gb_per_s(part.number("scale_up_bytes_per_s", 0.0)),
        pair_gb_per_s=0.0,
        nics_a_host=max(1, num_nics * used // a_host),
        nic_gbps=nic_gbps,
        network=text,
        algo="",
    )

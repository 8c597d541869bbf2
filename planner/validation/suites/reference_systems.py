"""Build the reference systems that data files name, as fabrics: ``h100_dgx_400g`` and its like.

A name is words joined by ``_``: the accelerator (``h100``); ``nvl72`` for a scale-up domain of that many accelerators;
the NICs of a host as ``400g`` (one each accelerator) or ``4x400g``. Other words name the box and change nothing.
"""

from __future__ import annotations

import re

import numpy as np

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.names import NameTemplate
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps

__all__ = ["accelerator_part", "reference_system"]

# Accelerators of a host: eight in a baseboard, four in a compute tray of a rack-scale domain.
_BASEBOARD, _TRAY = 8, 4
_NICS = re.compile(r"(?:(\d{1,3})x)?(\d{1,5})g")
_DOMAIN = re.compile(r"nvl(\d{1,4})")


def accelerator_part(word: str) -> Part | None:
    """Return the catalogue's accelerator whose id starts with a word such as ``h100``."""
    parts = load_parts()
    matches = [part for part in parts.values() if part.part_class == "accelerator" and part.id.split("-")[0] == word]
    return matches[0] if matches else None


def reference_system(name: str, num_units: int, *, where: str = "") -> Fabric:
    """Build `num_units` scale-up domains of a named system, every NIC of one place on a switch of its own.

    Raises
    ------
    InputError
        If no word of the name is a known accelerator, or none tells the NICs.
    """
    words = name.lower().replace("-", "_").split("_")
    part = next((part for word in words if (part := accelerator_part(word)) is not None), None)
    nics = next((match for word in words if (match := _NICS.fullmatch(word)) is not None), None)
    if part is None or nics is None:
        raise InputError(
            what="the system's name tells no accelerator or no NICs",
            where=where,
            found=repr(name),
            allowed="words such as h100 and 400g or 4x400g, joined by _",
        )
    domain_match = next((match for word in words if (match := _DOMAIN.fullmatch(word)) is not None), None)
    domain = int(domain_match.group(1)) if domain_match else _BASEBOARD
    a_host = _TRAY if domain_match else domain
    hosts_a_domain = max(1, domain // a_host)
    num_nics = int(nics.group(1) or a_host)
    nic_rate = from_gbps(float(nics.group(2)))
    num_hosts = num_units * hosts_a_domain
    builder = FabricBuilder(f"{name} × {num_units}")
    hosts = builder.add_hosts(
        NameTemplate("h{}", (num_hosts,)),
        accelerators=a_host,
        part=part,
        nics=num_nics,
        host_link_bytes_per_s=nic_rate,
    )
    scale_up = builder.add_switches(NameTemplate("nvs{}", (num_units,)), scale_up=True)
    builder.add_cables(
        hosts.accelerator,
        scale_up[np.arange(num_hosts) // hosts_a_domain][:, np.newaxis],
        rate_bytes_per_s=part.number("scale_up_bytes_per_s"),
    )
    leaf = builder.add_switches(NameTemplate("rail{}", (num_nics,)), tier=1)
    builder.add_cables(hosts.nic, leaf[np.newaxis, :], rate_bytes_per_s=nic_rate)
    return builder.build()

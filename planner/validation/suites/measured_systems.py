"""Build the clusters that measured cases describe, as fabrics: hosts, scale-up domains, one ideal switch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from planner.collectives.efficiency import NETWORK_LATENCY_FACTORS, Efficiency, default_efficiency
from planner.collectives.nccl.constants import Algorithm
from planner.validation.datadir import DataDir
from planner.validation.suites.reference_systems import accelerator_part
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.names import NameTemplate
from topologies.units import from_gb_per_s, from_gbps

__all__ = ["Setup", "efficiency_of", "fabric_of", "forced_algorithm", "read_setup", "read_setups"]

# A scale-up domain larger than a baseboard joins hosts.
_BASEBOARD = 8
_ALGORITHMS = MappingProxyType(
    {
        "ring": Algorithm.RING,
        "tree": Algorithm.TREE,
        "nvls": Algorithm.NVLS,
        "nvlstree": Algorithm.NVLS_TREE,
        "collnetdirect": Algorithm.COLLNET_DIRECT,
        "collnetchain": Algorithm.COLLNET_CHAIN,
    }
)


@dataclass(frozen=True, slots=True)
class Setup:
    """The set-up of one measured case.

    Attributes
    ----------
    case_id, collective, quality, source
        As the file says.
    accelerator
        First word of the accelerator's name, lower case.
    num_ranks, num_hosts, accelerators_a_host, scale_up_domain, num_racks
        Sizes; `num_racks` 0 where it is not said.
    scale_up_gb_per_s, pair_gb_per_s
        Scale-up rate of an accelerator, and of one pair where accelerators are joined directly; 0 for none.
    nics_a_host, nic_gbps
        NICs.
    network, algo
        Free text.
    """

    case_id: str
    collective: str
    quality: str
    source: str
    accelerator: str
    num_ranks: int
    num_hosts: int
    accelerators_a_host: int
    scale_up_domain: int
    num_racks: int
    scale_up_gb_per_s: float
    pair_gb_per_s: float
    nics_a_host: int
    nic_gbps: float
    network: str
    algo: str

    @property
    def is_quality_a(self) -> bool:
        """Whether those who ran it published the table or the log."""
        return self.quality.startswith("A")

    @property
    def network_kind(self) -> str | None:
        """A key of `NETWORK_LATENCY_FACTORS`, if the text names one kind and no other."""
        text = self.network.lower()
        words = {"RoCE": "Ethernet", "InfiniBand": "InfiniBand", " IB": "InfiniBand", "(IB": "InfiniBand"}
        kinds = {kind for kind in NETWORK_LATENCY_FACTORS if kind.lower() in text}
        kinds |= {kind for word, kind in words.items() if word.lower() in text}
        return kinds.pop() if len(kinds) == 1 else None


def _number(entry: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = entry.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise InputError(what=f"bad {key}", where=where, found=repr(value), allowed="a number of at least 0")
    return float(value)


def read_setup(entry: object, where: str) -> Setup | None:
    """Read one case of ``sweeps.yaml``; ``None`` if it does not say how many accelerators ran.

    Raises
    ------
    InputError
        If the entry is malformed.
    """
    if not isinstance(entry, Mapping) or "id" not in entry or "collective" not in entry:
        raise InputError(what="not a measured case", where=where, allowed="a mapping with id and collective")
    where = f"{where}: {entry['id']}"
    if entry.get("n_gpus") is None or entry.get("gpus_per_node") is None:
        return None
    a_host = int(_number(entry, "gpus_per_node", where))
    ranks = int(_number(entry, "n_gpus", where))
    hosts = int(_number(entry, "n_nodes", where, math.ceil(ranks / max(a_host, 1))))
    word = re.match(r"[A-Za-z0-9]+", str(entry.get("accelerator", "")))
    if min(a_host, ranks, hosts) < 1 or hosts * a_host < ranks:
        raise InputError(what="hosts and accelerators do not fit", where=where, found=f"{ranks} on {hosts} × {a_host}")
    return Setup(
        case_id=str(entry["id"]),
        collective=str(entry["collective"]),
        quality=str(entry.get("quality", "")),
        source=str(entry.get("source", "")),
        accelerator=word.group().lower() if word else "",
        num_ranks=ranks,
        num_hosts=hosts,
        accelerators_a_host=a_host,
        scale_up_domain=int(_number(entry, "nvlink_domain", where, a_host)),
        num_racks=int(_number(entry, "racks", where, 0)),
        scale_up_gb_per_s=_number(entry, "scaleup_gbs_per_dir", where, 0.0),
        pair_gb_per_s=_number(entry, "scaleup_p2p_gbs_per_dir", where, 0.0),
        nics_a_host=int(_number(entry, "nics_per_node", where, 0)),
        nic_gbps=_number(entry, "nic_gbps", where, 0.0),
        network=str(entry.get("fabric", "")),
        algo=str(entry.get("algo", "")),
    )


def read_setups(data: DataDir, name: str) -> dict[tuple[str, str], Setup | None]:
    """Read a file of set-ups: (id, collective) → set-up.

    Raises
    ------
    InputError
        If the file or an entry is malformed.
    """
    document = data.yaml(name)
    entries = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InputError(what="no list of cases", where=data.path / name, allowed="a mapping with a list `cases`")
    setups: dict[tuple[str, str], Setup | None] = {}
    for i, entry in enumerate(entries):
        setup = read_setup(entry, f"{data.path / name}: case {i}")
        setups[str(entry["id"]), str(entry["collective"])] = setup
    return setups


def _domain_of_host(setup: Setup) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the scale-up domain of each host: a host is one, unless domains are larger than a baseboard."""
    hosts = np.arange(setup.num_hosts)
    if setup.scale_up_domain <= max(_BASEBOARD, setup.accelerators_a_host):
        return hosts
    if setup.num_racks:
        return hosts * setup.num_racks // setup.num_hosts
    return hosts // max(1, setup.scale_up_domain // setup.accelerators_a_host)


def fabric_of(setup: Setup) -> Fabric:
    """Build the cluster, all NICs on one ideal switch."""
    builder = FabricBuilder(setup.case_id)
    rate = from_gbps(setup.nic_gbps)
    nics = setup.nics_a_host if rate else 0
    hosts = builder.add_hosts(
        NameTemplate("h{}", (setup.num_hosts,)),
        accelerators=setup.accelerators_a_host,
        part=accelerator_part(setup.accelerator),
        nics=nics,
        host_link_bytes_per_s=rate,
    )
    if setup.pair_gb_per_s and setup.accelerators_a_host > 1 and setup.pair_gb_per_s < setup.scale_up_gb_per_s:
        first, second = np.triu_indices(setup.accelerators_a_host, 1)
        builder.add_cables(
            hosts.accelerator[:, first],
            hosts.accelerator[:, second],
            rate_bytes_per_s=from_gb_per_s(setup.pair_gb_per_s),
        )
    elif setup.scale_up_gb_per_s and setup.scale_up_domain > 1:
        domain = _domain_of_host(setup)
        switches = builder.add_switches(NameTemplate("nvs{}", (int(domain.max()) + 1,)), scale_up=True)
        builder.add_cables(
            hosts.accelerator,
            switches[domain][:, np.newaxis],
            rate_bytes_per_s=from_gb_per_s(setup.scale_up_gb_per_s),
        )
    if nics:
        builder.add_cables(hosts.nic, builder.add_switch("network", tier=1), rate_bytes_per_s=rate)
    return builder.build()


def efficiency_of(setup: Setup, fabric: Fabric) -> Efficiency:
    """Return the uncalibrated efficiency, with the latency factor of the network that the text names."""
    base = default_efficiency(fabric)
    kind = setup.network_kind
    return replace(base, latency_factor=NETWORK_LATENCY_FACTORS[kind]) if kind else base


def forced_algorithm(setup: Setup) -> tuple[Algorithm | None, bool]:
    """Return the algorithm that the run forced, by the first word of the text, and whether the network reduced."""
    words = re.findall(r"[a-z]+", setup.algo.lower())
    sharp = "sharp" in words and "nosharp" not in words
    forced = next((w for w in words[:2] if w in _ALGORITHMS and words[0] != "default"), None)
    return (_ALGORITHMS[forced] if forced else None), sharp

"""Failures and repairs drawn from mean times by part, and maintenance that goes round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from planner.replay.rules import Outage
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s

__all__ = ["PARTS", "Reliability", "draw_outages", "draw_part_outages", "rolling_drains"]

_HOUR_S = 3600.0
# Llama 3's 54 days on 16,384 H100 in 2,048 hosts (Dubey et al. 2024, table 5): unexpected interruptions by cause.
_LLAMA_HOURS, _LLAMA_ACCELERATORS, _LLAMA_HOSTS = 54 * 24.0, 16_384, 2_048
_LLAMA_ACCELERATOR = 148 + 72 + 19 + 17 + 6 + 6  # GPU, HBM3, SRAM, system processor, silent corruption, thermal
_LLAMA_NIC, _LLAMA_LINK = 7, 35  # network card; network switch or cable
_LLAMA_HOST = 3 + 3 + 2 + 2 + 2 + 2  # SSD, power supply, chassis, IO expansion board, CPU, memory


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often a part fails, and how long that lasts.

    Attributes
    ----------
    mtbf_s
        Mean time between failures of one part; inf: never.
    repair_s
        Mean time until its host is back.
    """

    mtbf_s: float
    repair_s: float

    def __post_init__(self) -> None:
        if not self.mtbf_s > 0 or not 0 < self.repair_s < float("inf"):
            raise InputError(what="a mean time is above 0", where="mtbf and repair", found=(self.mtbf_s, self.repair_s))


def _known(parts: int, failures: int, repair_h: float) -> Reliability:
    return Reliability(parts * _LLAMA_HOURS / failures * _HOUR_S, repair_h * _HOUR_S)


PARTS: Mapping[str, Reliability] = MappingProxyType(
    {
        "accelerator": _known(_LLAMA_ACCELERATORS, _LLAMA_ACCELERATOR, 24.0),
        "host": _known(_LLAMA_HOSTS, _LLAMA_HOST, 24.0),
        "nic": _known(_LLAMA_ACCELERATORS, _LLAMA_NIC, 24.0),
        "link": _known(_LLAMA_ACCELERATORS, _LLAMA_LINK, 4.0),
        "leaf": Reliability(float("inf"), 4 * _HOUR_S),
    }
)
"""Part → reliability where none is stated. The paper counts a leaf's failures among its links'; repair times are
assumed (a day for what is swapped in a host, 4 h in the network). A failed link or NIC takes its host out."""


def draw_outages(num_hosts: int, span_s: float, *, mtbf_s: float, repair_s: float, seed: int) -> tuple[Outage, ...]:
    """Draw failures of hosts over a span: exponential times between failures, exponential repairs, hosts independent.

    Raises
    ------
    InputError
        If a mean time is not above 0.
    """
    rng = np.random.default_rng(seed)
    found = _drawn(rng, [(host,) for host in range(num_hosts)], Reliability(mtbf_s, repair_s), span_s)
    return _sorted(found)


def draw_part_outages(
    fabric: Fabric, span_s: float, parts: Mapping[str, Reliability] = PARTS, *, seed: int
) -> tuple[Outage, ...]:
    """Draw failures of a fabric's parts: each takes its host out, a leaf switch all hosts that hang on it.

    Raises
    ------
    InputError
        If a part is none of `PARTS`.
    """
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise InputError(what="no such part", where="failures", found=repr(unknown[0]), allowed=", ".join(PARTS))
    rng = np.random.default_rng(seed)
    accelerators, nics = fabric.accelerator_host, fabric.nic_host[fabric.nic_host >= 0]
    hit: dict[str, list[tuple[int, ...]]] = {
        "accelerator": [(int(host),) for host in accelerators],
        "host": [(host,) for host in range(fabric.num_hosts)],
        "nic": [(int(host),) for host in nics],
        "link": [(int(host),) for host in nics],
        "leaf": [tuple(np.unique(fabric.nic_host[hosts]).tolist()) for hosts in _by_leaf(fabric)],
    }
    found: list[Outage] = []
    for name in PARTS:  # in a fixed order, so that the draws do not hang on that of the file
        if name in parts and parts[name].mtbf_s < float("inf"):
            found += _drawn(rng, hit[name], parts[name], span_s)
    return _sorted(found)


def rolling_drains(
    num_hosts: int, span_s: float, *, every_s: float, lasts_s: float, at_once: int
) -> tuple[Outage, ...]:
    """Return drains of every host once in a period, so many at once, one group after the other.

    Groups start evenly spread over the period.

    Raises
    ------
    InputError
        If a figure is not above 0, or the groups do not fit into the period.
    """
    groups = -(-num_hosts // max(at_once, 1))
    if not (every_s > 0 and lasts_s > 0 and at_once > 0) or groups * lasts_s > every_s:
        raise InputError(
            what="maintenance of all hosts does not fit into its period",
            where="maintenance",
            found=f"{groups} groups of {at_once} hosts, {lasts_s / _HOUR_S:g} h each, in {every_s / _HOUR_S:g} h",
            fix="drain more hosts at once, or more rarely",
        )
    found = []
    for turn in range(int(span_s // every_s) + 1):
        for group in range(groups):
            start = turn * every_s + group * every_s / groups
            hosts = range(group * at_once, min((group + 1) * at_once, num_hosts))
            found += [Outage(host, start, start + lasts_s, is_drain=True) for host in hosts if start < span_s]
    return _sorted(found)


def _by_leaf(fabric: Fabric) -> Iterator[Int64s]:
    """Yield the NICs whose first leaf is the same."""
    leaf = np.asarray(fabric.nic_leaf)
    for node in np.unique(leaf[(leaf >= 0) & (fabric.nic_host >= 0)]):
        yield np.flatnonzero((leaf == node) & (fabric.nic_host >= 0))


def _drawn(
    rng: np.random.Generator, parts: Sequence[tuple[int, ...]], reliability: Reliability, span_s: float
) -> list[Outage]:
    """Draw the failures of independent parts, each with the hosts that it takes out."""
    found = []
    first = rng.exponential(reliability.mtbf_s, len(parts))
    for part in np.flatnonzero(first < span_s).tolist():
        now = float(first[part])
        while now < span_s:
            end = now + float(rng.exponential(reliability.repair_s))
            found += [Outage(host, now, end) for host in parts[part]]
            now = end + float(rng.exponential(reliability.mtbf_s))
    return found


def _sorted(found: list[Outage]) -> tuple[Outage, ...]:
    return tuple(sorted(found, key=lambda outage: (outage.start_s, outage.host, outage.end_s)))

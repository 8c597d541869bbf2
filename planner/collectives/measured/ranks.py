"""Lay the ranks of a logged test on a fabric's accelerators, and refuse logs of another cluster."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.measured.log_tables import LoggedRank
from planner.collectives.measured.nccl_tests_log import LoggedTest
from topologies.errors import InputError
from topologies.fabric import Fabric

__all__ = ["LaidRanks", "lay_ranks"]

_Int64s = npt.NDArray[np.int64]

# Accelerators as drivers and parts name them: H100, GB200, MI300X.
_MODEL = re.compile(r"(?<![A-Za-z0-9])((?:GB|GH|MI|[ABHLV])\d{2,3}[A-Z]?)(?![0-9A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class LaidRanks:
    """Where the ranks of a test are taken to be.

    Attributes
    ----------
    group
        ``(num_ranks,)`` accelerators in rank order.
    how
        How they were found.
    """

    group: _Int64s
    how: str


def lay_ranks(fabric: Fabric, test: LoggedTest) -> LaidRanks:
    """Find the accelerators that a test ran on.

    Hosts are those of the log if the fabric has all of its names, else the first that have as many accelerators.

    Raises
    ------
    InputError
        If the fabric is too small for the test, its hosts are, or its accelerators are of another model.
    """
    if test.num_ranks > fabric.num_accelerators:
        raise InputError(
            what="the log is of a larger cluster than the fabric",
            where=test.where,
            found=f"{test.num_ranks} ranks",
            allowed=f"up to the {fabric.num_accelerators} accelerators of {fabric.name}",
        )
    if len(test.ranks) != test.num_ranks:
        _check_model(fabric, test, np.arange(test.num_ranks))
        return LaidRanks(
            np.arange(test.num_ranks), f"the first {test.num_ranks} accelerators, as the log lists no ranks"
        )
    by_host: dict[str, list[LoggedRank]] = {name: [] for name in test.hosts}
    for rank in test.ranks:
        by_host[rank.host].append(rank)
    needed = [len(ranks) for ranks in by_host.values()]
    hosts, how = _named_hosts(fabric, list(by_host), needed), "the hosts that the log names"
    if hosts is None:
        hosts, how = _first_hosts(fabric, test, needed), "the first hosts, as the fabric has none of the log's names"
    at = np.empty(test.num_ranks, np.int64)
    for host, ranks in zip(hosts, by_host.values(), strict=True):
        start, size = int(fabric.host_accelerator_start[host]), int(fabric.host_num_accelerators[host])
        at[[rank.rank for rank in ranks]] = start + _places(ranks, size)
    _check_model(fabric, test, at)
    return LaidRanks(at, how)


def _named_hosts(fabric: Fabric, names: Sequence[str], needed: Sequence[int]) -> list[int] | None:
    """Return the hosts of those names, in full or up to the first dot; ``None`` if one is not there."""
    found = [fabric.host_names.find(name) for name in names]
    if any(host is None for host in found):
        short: dict[str, int] = {}
        for host, name in enumerate(fabric.host_names):
            short.setdefault(name.partition(".")[0], host)
        found = [short.get(name.partition(".")[0]) for name in names]
    hosts = [host for host in found if host is not None]
    if len(set(hosts)) != len(names):
        return None
    fits = all(fabric.host_num_accelerators[host] >= need for host, need in zip(hosts, needed, strict=True))
    return hosts if fits else None


def _first_hosts(fabric: Fabric, test: LoggedTest, needed: Sequence[int]) -> list[int]:
    size = fabric.host_num_accelerators
    hosts = []
    free = np.ones(fabric.num_hosts, bool)
    for need in needed:
        fitting = np.flatnonzero(free & (size >= need))
        if not len(fitting):
            most = int(size.max())
            shape = ", ".join(f"{count} × {ranks}" for ranks, count in Counter(needed).items())
            raise InputError(
                what="the log is of another cluster: its hosts do not fit",
                where=test.where,
                found=f"hosts × ranks: {shape}",
                allowed=f"{fabric.num_hosts} hosts of up to {most} accelerators in {fabric.name}",
            )
        hosts.append(int(fitting[0]))
        free[fitting[0]] = False
    return hosts


def _places(ranks: Sequence[LoggedRank], size: int) -> _Int64s:
    """Return the place in its host of each rank: its device number; if several have one, by PCI address, then order.

    Launchers that show each process one accelerator make all of them device 0.
    """
    devices = [rank.device for rank in ranks]
    if len(set(devices)) == len(devices) and max(devices) < size:
        return np.array(devices, np.int64)
    buses = [tuple(int(part, 16) for part in re.findall(r"[0-9a-f]+", rank.bus_id.lower().removeprefix("0x")))
             for rank in ranks]  # fmt: skip
    if len(set(buses)) == len(buses):
        return np.array([sorted(buses).index(bus) for bus in buses], np.int64)
    return np.arange(len(ranks))


def _models_in(text: str) -> set[str]:
    return {found.upper() for found in _MODEL.findall(text.replace("_", " "))}


def _check_model(fabric: Fabric, test: LoggedTest, at: _Int64s) -> None:
    """Refuse a log of other accelerators than the fabric's, where both say which."""
    logged = set().union(*(_models_in(rank.model) for rank in test.ranks)) if test.ranks else set()
    for part in sorted(set(fabric.node_part[at].tolist())):
        if part < 0 or not logged:
            continue
        ours = _models_in(f"{fabric.parts[part].id.replace('-', ' ')} {fabric.parts[part].description}")
        if ours and not ours & logged:
            raise InputError(
                what="the log is of another cluster: its accelerators differ",
                where=test.where,
                found=", ".join(sorted(logged)),
                allowed=fabric.parts[part].id,
            )

"""Time, algbw and busbw of one collective alone on a fabric, over many sizes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.collectives.definitions import Collective, busbw_factor, check_collective
from planner.collectives.traffic import ALGORITHMS, Demand, job_flows
from planner.congestion.score import score_flows
from topologies.errors import InputError
from topologies.fabric import Fabric, Float64s, Int64s
from topologies.routing.named import routing_named
from topologies.units import parse_bytes, to_gb_per_s, to_us

__all__ = ["CollectiveTable", "collective_table", "parse_sizes"]

_MAX_SIZES = 10_000


@dataclass(frozen=True, eq=False)
class CollectiveTable:
    """One collective at many sizes.

    Attributes
    ----------
    fabric_name, collective, algorithm, num_ranks
        What was asked.
    size_bytes, time_s
        ``(S,)``.
    bottleneck
        Name of the link that holds back the largest size; empty if none does.
    """

    fabric_name: str
    collective: Collective
    algorithm: str
    num_ranks: int
    size_bytes: Int64s
    time_s: Float64s
    bottleneck: str

    @property
    def algbw_bytes_per_s(self) -> Float64s:
        """Size over time, ``(S,)``, nccl-tests' algbw."""
        return self.size_bytes / self.time_s

    @property
    def busbw_bytes_per_s(self) -> Float64s:
        """Algbw times the collective's factor, ``(S,)``, nccl-tests' busbw."""
        return self.algbw_bytes_per_s * busbw_factor(self.collective, self.num_ranks)

    def rows(self) -> list[list[float]]:
        """Return size, time in µs, algbw and busbw in GB/s for each size."""
        columns = (
            self.size_bytes.tolist(),
            to_us(self.time_s).tolist(),
            to_gb_per_s(self.algbw_bytes_per_s).tolist(),
            to_gb_per_s(self.busbw_bytes_per_s).tolist(),
        )
        return [list(row) for row in zip(*columns, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        names = ("size_bytes", "time_us", "algbw_gb_per_s", "busbw_gb_per_s")
        return {
            "fabric": self.fabric_name,
            "collective": self.collective,
            "algorithm": self.algorithm,
            "ranks": self.num_ranks,
            "bottleneck": self.bottleneck or None,
            "rows": [dict(zip(names, row, strict=True)) for row in self.rows()],
        }


def parse_sizes(text: str) -> list[int]:
    """Read ``1KiB:8GiB`` (doubling from the first to the last) or a list such as ``1MiB,64MiB``.

    Raises
    ------
    InputError
        If a size cannot be read, or the range runs backwards.
    """
    where = "--sizes"
    if ":" in text:
        first, _, last = text.partition(":")
        low, high = parse_bytes(first, where=where), parse_bytes(last, where=where)
        if low > high:
            raise InputError(what="the range runs backwards", where=where, found=repr(text), allowed="FROM:TO")
        return [low << k for k in range(64) if low << k <= high]
    sizes = [parse_bytes(piece, where=where) for piece in text.split(",")]
    if len(sizes) > _MAX_SIZES:
        raise InputError(what="too many sizes", where=where, found=len(sizes), allowed=f"at most {_MAX_SIZES}")
    return sizes


def collective_table(
    fabric: Fabric, *, op: str, num_ranks: int, sizes: Sequence[int], algorithm: str = "ring", routing: str = "spray"
) -> CollectiveTable:
    """Price a collective over the fabric's first `num_ranks` accelerators, alone, at every size.

    Times are linear in size beyond the latency, so the fabric is walked once.

    Raises
    ------
    InputError
        If the collective, algorithm or routing is unknown, or the number of ranks does not fit the fabric.
    """
    if not 2 <= num_ranks <= fabric.num_accelerators:
        raise InputError(
            what="a collective needs at least two ranks, and no more than the fabric has",
            where="--gpus",
            found=num_ranks,
            allowed=f"2 to {fabric.num_accelerators}",
        )
    if algorithm not in ALGORITHMS:
        raise InputError(
            what="no such algorithm", where="--algorithm", found=repr(algorithm), allowed=", ".join(ALGORITHMS)
        )
    ranks = np.arange(num_ranks)
    collective = check_collective(op)
    unit = float(max(sizes))
    demands = [Demand(unit, collective, algorithm), Demand(unit / 2, collective, algorithm)]
    report = score_flows(fabric, job_flows(fabric, [ranks, ranks], demands), routing_named(routing))
    at_unit, at_half = report.isolated.time_s.tolist()
    per_byte_s = (at_unit - at_half) / (unit / 2)
    size_bytes = np.array(sizes, np.int64)
    link = int(report.isolated.bottleneck_link[0])
    return CollectiveTable(
        fabric_name=fabric.name,
        collective=collective,
        algorithm=algorithm,
        num_ranks=num_ranks,
        size_bytes=size_bytes,
        time_s=at_unit - per_byte_s * (unit - size_bytes),
        bottleneck=fabric.link_name(link) if link >= 0 else "",
    )

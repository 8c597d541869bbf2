"""Cables by what they join, rate, kind and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.bill.layout import STANDARD_LENGTHS_M, FloorPlan, LayoutRules
from topologies.bill.money import Price, price_of
from topologies.bill.switches import switches_inside_hosts
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind
from topologies.parts import Part
from topologies.units import to_gbps

__all__ = ["CableLine", "CableRuns", "cable_lines", "cable_runs", "choose_cable"]

BACKPLANE = "backplane"

_TIER_NAMES = {1: "NIC to leaf", 2: "leaf to spine", 3: "spine to core"}


@dataclass(frozen=True)
class CableLine:
    """Alike cables.

    Attributes
    ----------
    joins
        What they join, as ``leaf to spine``.
    gbps
        Rate of one, one direction.
    medium
        ``DAC``, ``ACC``, ``AEC``, ``AOC``, ``optics`` (two transceivers and a fibre), ``backplane`` or ``unknown``.
    part
        Part id of the cable; empty if the catalogue has none for it.
    length_m
        As ordered.
    count
        Cables.
    transceivers
        Transceivers they need beside.
    watts
        Of all their ends together.
    price
        Of all; None if not known.
    """

    joins: str
    gbps: float
    medium: str
    part: str
    length_m: float
    count: int
    transceivers: int
    watts: float
    price: Price | None


@dataclass(frozen=True, eq=False)
class CableRuns:
    """The cables between devices.

    Attributes
    ----------
    link, join_of, length_m
        ``(C,)`` first link of each, index into `joins` of what it joins, and ordered length.
    joins
        What cables join, as in `CableLine`.
    is_backplane
        ``(C,)`` whether it is part of a rack: from a scale-up switch that is made for it, within the rack.
    """

    link: Int64s
    joins: tuple[str, ...]
    join_of: Int64s
    length_m: Float64s
    is_backplane: npt.NDArray[np.bool_]


def cable_runs(fabric: Fabric, floor: FloorPlan, rules: LayoutRules) -> CableRuns:
    """Return every cable that leaves a host: scale-out ones, and scale-up links to other hosts or a rack's switches."""
    link = np.arange(0, fabric.num_links, 2, dtype=np.int64)
    host = np.full(fabric.num_nodes, -1, np.int64)
    host[: fabric.num_accelerators] = fabric.accelerator_host
    host[fabric.num_accelerators : fabric.num_accelerators + fabric.num_nics] = fabric.nic_host
    inside = switches_inside_hosts(fabric)
    host[inside >= 0] = inside[inside >= 0]
    source, target = fabric.link_source[link], fabric.link_target[link]
    kind = fabric.link_kind[link]
    leaves_host = (host[source] != host[target]) | (host[source] < 0)
    link = link[(kind == LinkKind.SCALE_OUT) | ((kind == LinkKind.SCALE_UP) & leaves_host)]
    run = floor.run_m(fabric, link, rules)
    lengths = np.asarray(STANDARD_LENGTHS_M)
    at = np.searchsorted(lengths, run - 1e-9)
    ordered = np.where(at < len(lengths), lengths[np.minimum(at, len(lengths) - 1)], np.ceil(run))
    tier = np.where(fabric.link_kind[link] == LinkKind.SCALE_UP, 0, fabric.link_tier[link]).astype(np.int64)
    from_nic = np.minimum(fabric.node_kind[fabric.link_source[link]], fabric.node_kind[fabric.link_target[link]])
    same = fabric.node_tier[fabric.link_source[link]] == fabric.node_tier[fabric.link_target[link]]
    code = tier * 4 + (from_nic <= NodeKind.NIC) * 2 + (same & (tier > 0))
    values, join_of = np.unique(code, return_inverse=True)
    return CableRuns(
        link,
        tuple(_join_name(int(v)) for v in values),
        join_of.astype(np.int64),
        ordered,
        _is_backplane(fabric, floor, link, inside),
    )


def _is_backplane(fabric: Fabric, floor: FloorPlan, link: Int64s, inside: Int64s) -> npt.NDArray[np.bool_]:
    """Return which links run over the backplane of a rack; others are cables."""
    made_for_it = np.array([part.part_class != "switch" for part in fabric.parts] + [True])
    is_rack_switch = (fabric.node_kind == NodeKind.SCALE_UP_SWITCH) & (inside < 0) & made_for_it[fabric.node_part]
    source, target = fabric.link_source[link], fabric.link_target[link]
    within = floor.node_rack[source] == floor.node_rack[target]
    within &= fabric.link_kind[link] == LinkKind.SCALE_UP
    found: npt.NDArray[np.bool_] = within & (is_rack_switch[source] | is_rack_switch[target])
    return found


def _join_name(code: int) -> str:
    tier, from_nic, same = code // 4, code // 2 % 2, code % 2
    if tier == 0:
        return "scale-up"
    if same:
        return {1: "leaf to leaf", 2: "spine to spine", 3: "core to core"}.get(tier, f"within tier {tier}")
    if from_nic:
        return "NIC to leaf" if tier == 1 else f"NIC to tier {tier}"
    return _TIER_NAMES.get(tier, f"tier {tier - 1} to {tier}")


def choose_cable(rate_bytes_per_s: float, length_m: float, parts: Mapping[str, Part]) -> Part | None:
    """Return the cable for a rate and a length: the lowest rate that suffices, then the lowest price that reaches."""
    fit = [
        part
        for part in parts.values()
        if part.part_class == "cable"
        and part.number("cable_bytes_per_s", 0.0) >= rate_bytes_per_s * (1 - 1e-9)
        and part.number("max_reach_m", 0.0) >= length_m
    ]
    if not fit:
        return None

    def cost(part: Part) -> tuple[float, float, str]:
        price = price_of(part, length_m=length_m)
        return part.number("cable_bytes_per_s"), price.typical_usd if price else float("inf"), part.id

    return min(fit, key=cost)


def medium_of(part: Part | None) -> str:
    """Return what kind of cable a part is."""
    if part is None:
        return "unknown"
    word = part.id.partition("-")[0].lower()
    if word in ("dac", "acc", "aec", "aoc"):
        return word.upper()
    return "optics" if "transceiver_price_usd" in part.values else "unknown"


def cable_lines(fabric: Fabric, runs: CableRuns, parts: Mapping[str, Part], notes: list[str]) -> list[CableLine]:
    """Return the cables, alike ones together; what was assumed is appended to `notes`."""
    rate = fabric.link_capacity_bytes_per_s[runs.link]
    rates, rate_of = np.unique(rate, return_inverse=True)
    lengths, length_of = np.unique(runs.length_m, return_inverse=True)
    key = ((runs.join_of * len(rates) + rate_of) * len(lengths) + length_of) * 2 + runs.is_backplane
    lines, missing, raised = [], set(), set()
    for code, count in zip(*np.unique(key, return_counts=True), strict=True):
        rest, is_backplane = divmod(int(code), 2)
        rest, length_idx = divmod(rest, len(lengths))
        join, rate_idx = divmod(rest, len(rates))
        joins, length_m, gbps = runs.joins[join], float(lengths[length_idx]), float(to_gbps(rates[rate_idx]))
        if is_backplane:
            lines.append(CableLine(joins, gbps, BACKPLANE, "", length_m, int(count), 0, 0.0, None))
            continue
        part = choose_cable(float(rates[rate_idx]), length_m, parts)
        price = price_of(part, length_m=length_m) if part else None
        ends = part.number("watts_per_end", 0.0) if part else 0.0
        transceivers = 2 * int(count) if part is not None and "transceiver_price_usd" in part.values else 0
        if part is None:
            missing.add(f"{gbps:g} Gb/s over {length_m:g} m")
        elif part.number("cable_bytes_per_s") > rates[rate_idx] * (1 + 1e-9):
            raised.add(f"{gbps:g} Gb/s as {to_gbps(part.number('cable_bytes_per_s')):g}")
        lines.append(
            CableLine(
                joins,
                gbps,
                medium_of(part),
                part.id if part else "",
                length_m,
                int(count),
                transceivers,
                2 * ends * int(count),
                price.times(int(count)) if price else None,
            )
        )
    if missing:
        notes.append(f"no cable of the parts catalogue fits {', '.join(sorted(missing))}")
    if raised:
        notes.append(f"cables of a rate that the catalogue lacks are taken of the next: {', '.join(sorted(raised))}")
    return lines

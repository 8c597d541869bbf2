"""`Bill`: everything a fabric is made of, costs and draws, and what it can do, in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from topologies.bill.bisection import Bisection, bisection_of
from topologies.bill.cables import CableLine, CableRuns, cable_lines, cable_runs
from topologies.bill.diversity import PathDiversity, path_diversity
from topologies.bill.failure import FailureDomain, failure_domains
from topologies.bill.hosts import HostLine, host_boxes
from topologies.bill.layout import FloorPlan, LayoutRules, plan_floor
from topologies.bill.money import PRICE_BAND_SOURCE, Price, price_of
from topologies.bill.switches import SwitchLine, switch_lines, switch_units, switch_watts
from topologies.fabric import Fabric, Float64s, LinkKind, NodeKind
from topologies.html_table import html_table
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import to_kw

__all__ = ["Bill", "FigureSource", "NicLine", "Power", "TierRatio", "bill_of"]


@dataclass(frozen=True)
class NicLine:
    """Alike NICs."""

    model: str
    count: int
    cables: int
    price: Price | None


@dataclass(frozen=True)
class TierRatio:
    """Oversubscription of a tier: what its switches take from below over what they pass up.

    Attributes
    ----------
    tier
        1 leaf, 2 spine…
    down_bytes_per_s, up_bytes_per_s
        Capacity of all cables below and above the tier, one direction.
    """

    tier: int
    down_bytes_per_s: float
    up_bytes_per_s: float

    @property
    def ratio(self) -> float:
        """Down over up."""
        return self.down_bytes_per_s / self.up_bytes_per_s


@dataclass(frozen=True)
class Power:
    """Watts.

    Attributes
    ----------
    hosts_watts
        Most that the hosts draw.
    switches_typical_watts, switches_most_watts
        Without optics, and at most with them.
    cables_watts
        Both ends of all cables.
    rack_most_watts, rack_mean_watts
        Of the racks with hosts: the highest, and the mean.
    network_rack_most_watts
        Of the racks with switches alone.
    """

    hosts_watts: float
    switches_typical_watts: float
    switches_most_watts: float
    cables_watts: float
    rack_most_watts: float
    rack_mean_watts: float
    network_rack_most_watts: float

    @property
    def network_watts(self) -> float:
        """Switches as they usually draw, with the ends of all cables."""
        return self.switches_typical_watts + self.cables_watts

    @property
    def total_watts(self) -> float:
        """Hosts and network."""
        return self.hosts_watts + self.network_watts


@dataclass(frozen=True)
class FigureSource:
    """Where a figure comes from: part, attribute, source, and whether it was checked against it."""

    part: str
    attribute: str
    source: str
    is_verified: bool


@dataclass(frozen=True, eq=False)
class Bill:
    """The bill of a fabric.

    Attributes
    ----------
    fabric
        What it is of.
    switches, cables, nics
        What is to be bought for the network.
    hosts
        Hosts by model.
    host_racks, network_racks, rows
        What stands on the floor.
    power
        What it draws.
    price
        Of the network: switches and cables whose price is known; NICs and hosts are apart.
    unpriced
        What has no price and is not in it.
    oversubscription, bisection, diversity, failures
        What it can do, and what a fault does to it.
    sources
        Where prices and powers come from.
    notes
        What was assumed.
    floor, runs
        Where everything stands, and the length of every cable.
    """

    fabric: Fabric
    switches: Sequence[SwitchLine]
    cables: Sequence[CableLine]
    nics: Sequence[NicLine]
    hosts: Sequence[HostLine]
    host_racks: int
    network_racks: int
    rows: int
    power: Power
    price: Price
    unpriced: Sequence[str]
    oversubscription: Sequence[TierRatio]
    bisection: Bisection | None
    diversity: Sequence[PathDiversity]
    failures: Sequence[FailureDomain]
    sources: Sequence[FigureSource]
    notes: Sequence[str]
    floor: FloorPlan
    runs: CableRuns

    @property
    def whole_price(self) -> Price | None:
        """Network and hosts, NICs where a host's price is its accelerators' alone; None if a host has no price."""
        if any(line.price is None for line in self.hosts):
            return None
        total = self.price
        for line in self.hosts:
            total += line.price or Price()
        if not all(line.is_whole for line in self.hosts):
            for nic in self.nics:
                total += nic.price or Price()
        return total

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what is to be bought, and what it comes to."""
        rows: list[list[object]] = [[f"{s.tier} switches {s.model}", s.count] for s in self.switches]
        rows += [[f"{c.joins}, {c.gbps:g} Gbit/s, {c.medium}, {c.length_m:g} m", c.count] for c in self.cables]
        rows += [
            ["network, typical US$", round(self.price.typical_usd)],
            ["hosts and network, kW", self.power.total_watts / 1e3],
        ]
        return html_table(f"Bill of {self.fabric.name}", rows)

    def per_accelerator(self, amount: float) -> float:
        """Return an amount for each accelerator."""
        return amount / self.fabric.num_accelerators


def bill_of(fabric: Fabric, *, parts: Mapping[str, Part] | None = None, rules: LayoutRules | None = None) -> Bill:
    """Return the bill of a fabric.

    Parameters
    ----------
    fabric
        Any fabric, designed or imported.
    parts
        Parts by id, for cables and hosts; the catalogue's own if left out.
    rules
        The rack and row model.
    """
    parts = load_parts() if parts is None else parts
    rules = rules or LayoutRules()
    boxes = host_boxes(fabric, parts, rules.default_host_units)
    floor = plan_floor(fabric, rules, host_units=boxes.units, host_watts=boxes.watts, node_units=switch_units(fabric))
    notes = [*rules.notes(floor.num_host_racks), *boxes.notes]
    notes += _too_hot(floor, boxes.watts, rules)
    switches = switch_lines(fabric)
    runs = cable_runs(fabric, floor, rules)
    cables = cable_lines(fabric, runs, parts, notes)
    price, unpriced = _price(switches, cables)
    nics = _nics(fabric)
    notes.append("the network's price is that of switches and cables; NICs and hosts are priced apart")
    notes.append(f"where a part has one price only, low and high are by {PRICE_BAND_SOURCE}")
    return Bill(
        fabric=fabric,
        switches=tuple(switches),
        cables=tuple(cables),
        nics=tuple(nics),
        hosts=boxes.lines,
        host_racks=floor.num_host_racks,
        network_racks=floor.num_racks - floor.num_host_racks,
        rows=int(floor.rack_row.max()) + 1,
        power=_power(fabric, floor, boxes.watts, switches, cables, notes),
        price=price,
        unpriced=tuple(unpriced),
        oversubscription=tuple(_oversubscription(fabric)),
        bisection=bisection_of(fabric),
        diversity=tuple(path_diversity(fabric)),
        failures=tuple(failure_domains(fabric, floor)),
        sources=tuple(_sources(fabric, cables, boxes.lines, parts)),
        notes=tuple(notes),
        floor=floor,
        runs=runs,
    )


def _too_hot(floor: FloorPlan, host_watts: Float64s, rules: LayoutRules) -> list[str]:
    """Return what to say where racks draw more than they may: the fabric itself says what stands in them."""
    draw = np.bincount(floor.host_rack, weights=np.nan_to_num(host_watts), minlength=floor.num_host_racks)
    hot = int(np.count_nonzero(draw > rules.rack_watts * (1 + 1e-9)))
    if not rules.rack_watts or not hot:
        return []
    return [f"the hosts of {hot} racks draw more than {to_kw(rules.rack_watts):g} kW, {to_kw(draw.max()):g} kW at most"]


def _price(switches: Sequence[SwitchLine], cables: Sequence[CableLine]) -> tuple[Price, list[str]]:
    total, unpriced = Price(), []
    for switch in switches:
        if switch.price is None:
            unpriced.append(f"{switch.count} {switch.tier} switches {switch.model or 'of unknown model'}")
        else:
            total += switch.price
    without: dict[str, int] = {}
    for cable in cables:
        if cable.price is None:
            what = f"{cable.joins} cables of {cable.gbps:g} Gb/s ({cable.medium})"
            without[what] = without.get(what, 0) + cable.count
        else:
            total += cable.price
    return total, unpriced + [f"{count} {what}" for what, count in without.items()]


def _nics(fabric: Fabric) -> list[NicLine]:
    first = fabric.num_accelerators
    part = fabric.node_part[first : first + fabric.num_nics]
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    source = fabric.link_source[scale_out]
    cables = np.bincount(source[source < first + fabric.num_nics], minlength=first + fabric.num_nics)[first:]
    lines = []
    for idx in np.unique(part).tolist():
        members = part == idx
        known = fabric.parts[idx] if idx >= 0 else None
        price = price_of(known) if known else None
        count = int(members.sum())
        lines.append(
            NicLine(
                known.id if known else "of unknown model",
                count,
                int(cables[members].sum()),
                price.times(count) if price else None,
            )
        )
    return lines


def _power(
    fabric: Fabric,
    floor: FloorPlan,
    host_watts: Float64s,
    switches: Sequence[SwitchLine],
    cables: Sequence[CableLine],
    notes: list[str],
) -> Power:
    is_switch = fabric.node_kind == NodeKind.SWITCH
    by_part = np.array([switch_watts(part) for part in fabric.parts] + [(np.nan, np.nan)])
    node_watts = by_part[fabric.node_part]
    unknown = int(np.isnan(node_watts[is_switch, 1]).sum())
    if unknown:
        notes.append(f"the power of {unknown} switches is not known and is left out")
    most = np.nan_to_num(node_watts[:, 1]) * is_switch
    hosts = np.nan_to_num(host_watts)
    rack = np.bincount(floor.host_rack, weights=hosts, minlength=floor.num_racks)
    in_rack = np.flatnonzero(is_switch)
    rack += np.bincount(floor.node_rack[in_rack], weights=most[in_rack], minlength=floor.num_racks)
    host_racks, network_racks = rack[: floor.num_host_racks], rack[floor.num_host_racks :]
    scale_out = [line for line in switches if line.tier != "scale-up"]
    return Power(
        hosts_watts=float(hosts.sum()),
        switches_typical_watts=float(np.nansum([line.typical_watts for line in scale_out])),
        switches_most_watts=float(np.nansum([line.most_watts for line in scale_out])),
        cables_watts=sum(line.watts for line in cables),
        rack_most_watts=float(host_racks.max()),
        rack_mean_watts=float(host_racks.mean()),
        network_rack_most_watts=float(network_racks.max(initial=0.0)),
    )


def _oversubscription(fabric: Fabric) -> list[TierRatio]:
    """Return the ratio of each tier that has cables up, from the links alone."""
    scale_out = fabric.link_kind == LinkKind.SCALE_OUT
    source, target = fabric.link_source[scale_out], fabric.link_target[scale_out]
    capacity = fabric.link_capacity_bytes_per_s[scale_out]
    tier = fabric.node_tier.astype(np.int64)
    up = tier[target] > tier[source]
    down_total = np.bincount(tier[target[up]], weights=capacity[up])
    up_total = np.bincount(tier[source[up]], weights=capacity[up], minlength=len(down_total))
    return [
        TierRatio(t, float(down_total[t]), float(up_total[t]))
        for t in range(1, len(down_total))
        if down_total[t] > 0 and up_total[t] > 0
    ]


def _sources(
    fabric: Fabric, cables: Sequence[CableLine], hosts: Sequence[HostLine], parts: Mapping[str, Part]
) -> list[FigureSource]:
    used = [part for part in fabric.parts if part.part_class in ("switch", "scale-up switch", "nic", "accelerator")]
    used += [parts[line.model] for line in hosts if line.model in parts]
    used += [parts[part_id] for part_id in sorted({line.part for line in cables if line.part})]
    wanted = (
        "price_low_usd",
        "price_usd",
        "price_high_usd",
        "price_usd_per_m",
        "transceiver_price_usd",
        "typical_watts",
        "watts",
        "watts_per_end",
    )
    return [
        FigureSource(part.id, name, part.sources.get(name, ""), name not in part.unverified)
        for part in used
        for name in wanted
        if name in part.values
    ]

"""Suite ``bill``: switches and cables of published reference designs, counted again from nodes, ports and switch.

``measured/topology.csv``, a published design a row. What is asked for is taken from ``system``, ``nodes``, ``gpus``,
``endpoint_ports``, ``switch`` and ``radix``; the counts of ``leaf``, ``spine``, ``core`` and the cables are what the
bill of the fabric built for that must give, to the last one. The design rules, by what the row says:

- rail-optimized, one rail a NIC, non-blocking, the fewest tiers that fit; spines and cores in the smallest number that
  gives every pair of switches a whole bundle of cables (`topologies.kinds.clos_plan`); with three tiers, pods of leaf
  groups or of rails, whichever take fewer switches;
- InfiniBand and Ethernet NICs at the rate of a switch port; on Ethernet of 800 Gb/s a NIC is two ports of 400 Gb/s in
  two planes, whose two links the tables count as one cable (DGX B300 reference architecture, "twin-planar");
- a BasePOD is two leaves joined by as many links as hosts hang on one of them;
- cables of the fabric manager stand in no fabric: as many as the row's note names are added to the leaf cables.

Where a published count is not the least possible one, the case says why, with the numbers. Where ours is another, the
same is built with the published spines and cores: if every count then is the published one, the difference is one of
choice, and the case says what both leave free; else it is a miss.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target
from topologies.bill.bill import Bill, bill_of
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps

__all__ = ["SUITE", "BillSuite", "Counts", "count_row", "design_of_row"]

_FILE = "measured/topology.csv"
_COUNTS = ("leaf", "spine", "core", "node_leaf_cables", "leaf_spine_cables", "spine_core_cables")
_SWITCH = re.compile(r"(?P<model>[\w.-]+)(?:/[\w.-]+)*\s+(?P<ports>\d+)\s*[x×]\s*(?P<gbps>\d+)\s*G", re.ASCII)
_MANAGER_LINKS = re.compile(r"(\d+) UFM links")
_TWIN_PORT_GBPS = 800
_JOINS = MappingProxyType(
    {"NIC to leaf": "node_leaf_cables", "leaf to spine": "leaf_spine_cables", "spine to core": "spine_core_cables"}
)


@dataclass(frozen=True)
class Counts:
    """Counts of a design, by the columns of the file, and what explains them."""

    by_column: Mapping[str, int]
    why: Mapping[str, str]


def design_of_row(row: Row, chosen: str = "") -> tuple[Fabric, int]:
    """Return the fabric that a row asks for, and how many links the table counts as one cable.

    Parameters
    ----------
    row
        The row.
    chosen
        More keys of the network, as ``, spines: 5``.

    Raises
    ------
    InputError
        If the row does not say which switch, or no such fabric can be built.
    """
    from topologies.files.fabric_file import fabric_of
    from topologies.files.loading import parse_document

    nodes, gpus = row.integer("nodes", minimum=1), row.integer("gpus", minimum=1)
    ports = row.integer("endpoint_ports", minimum=1)
    switch = _SWITCH.match(row.text("switch"))
    if switch is None or gpus % nodes or ports % nodes:
        raise InputError(what="not a design", where=row.where, found=row.text("switch"), allowed="as QM9700 64x400G")
    radix, gbps = row.integer("radix", minimum=2), int(switch["gbps"])
    is_infiniband = switch["model"].upper().startswith(("QM", "Q3", "MQM"))
    twin = not is_infiniband and gbps == _TWIN_PORT_GBPS
    links = 2 if twin else 1
    parts = _parts(radix, gbps, is_infiniband)
    network = "leaf: row-switch"
    kind = "multi-plane" if twin else "rail-optimized"
    if "basepod" in row.text("system").lower():
        on_a_leaf = ports // 2
        network += f", tiers: 1, rails: 2, hosts_a_leaf: {nodes}, leaf_links: {on_a_leaf}"
        kind = "rail-optimized"
    elif twin:
        network += f", uplink_gbps: {gbps // links}"
    document = parse_document(
        f"schema_version: 1\nkind: {kind}\nname: row\n"
        f"hosts: {{accelerator: h100-sxm, accelerators: {gpus // nodes}, nic: row-nic, nics: {ports // nodes}, "
        f"nic_ports: {links}, count: {nodes}}}\nnetwork: {{{network}{chosen}}}\n",
        row.where,
    )
    return fabric_of(document, parts=parts), links


def _parts(radix: int, gbps: int, is_infiniband: bool) -> Mapping[str, Part]:
    values: dict[str, Any] = {"num_ports": radix, "port_bytes_per_s": from_gbps(gbps)}
    values["fabric"] = "InfiniBand" if is_infiniband else "Ethernet"
    own = {
        "row-switch": Part("row-switch", "switch", values=values),
        "row-nic": Part("row-nic", "nic", values={"nic_bytes_per_s": from_gbps(gbps)}),
    }
    return {**load_parts(), **own}


def count_row(row: Row, chosen: str = "") -> Counts:
    """Return the counts of a row's design from its bill; parameters and faults as `design_of_row`."""
    found = _counted(row, chosen)
    if not found.by_column["core"]:
        return found
    try:
        by_rail = _counted(row, f"{chosen}, pods: by-rail")
    except InputError:
        return found
    return min(found, by_rail, key=lambda counts: counts.by_column["spine"] + counts.by_column["core"])


def _counted(row: Row, chosen: str) -> Counts:
    fabric, links = design_of_row(row, chosen)
    bill = bill_of(fabric)
    found = dict.fromkeys(_COUNTS, 0)
    for switch in bill.switches:
        if switch.tier in found:
            found[switch.tier] += switch.count
    for cable in bill.cables:
        column = "leaf_spine_cables" if cable.joins == "leaf to leaf" else _JOINS.get(cable.joins)
        if column:
            found[column] += cable.count
    for column in _JOINS.values():
        found[column] //= links
    why = _reasons(bill, found, links)
    manager = _MANAGER_LINKS.search(row.values.get("note") or "")
    if manager:
        extra = int(manager.group(1))
        why["node_leaf_cables"] = f"{found['node_leaf_cables']} of nodes and {extra} of the fabric manager"
        found["node_leaf_cables"] += extra
    return Counts(found, why)


def _reasons(bill: Bill, found: Mapping[str, int], links: int) -> dict[str, str]:
    """Return why there are more spines or cores than their ports need."""
    why = {}
    for tier, upper, column, lower in (
        (2, "spine", "leaf_spine_cables", "leaf"),
        (3, "core", "spine_core_cables", "spine"),
    ):
        line = next((line for line in bill.switches if line.tier == upper), None)
        if line is None or not found[lower]:
            continue
        down = line.ports if upper == "core" or not found["core"] else line.ports // 2
        least = -(-found[column] // down)
        if found[upper] > least:
            why[upper] = (
                f"{found[column]} cables need {least} switches of {down} ports; {found[upper]} leave every {lower} "
                f"{_bundle(bill.fabric, tier) / links:g} of its {found[column] / found[lower]:g} cables to each "
                f"{upper} it reaches, a whole bundle"
            )
    return why


def _bundle(fabric: Fabric, tier: int) -> int:
    """Return the cables between the first switch below a tier and the first switch of the tier that it reaches."""
    up = np.flatnonzero((fabric.link_tier == tier) & (fabric.node_tier[fabric.link_target] == tier))
    first = up[0]
    same = (fabric.link_source[up] == fabric.link_source[first]) & (fabric.link_target[up] == fabric.link_target[first])
    return int(np.count_nonzero(same))


def _cases(row: Row) -> list[Case]:
    name = f"{row.text('case_id')} ({row.text('system')}, {row.text('nodes')} nodes)"
    published = {column: row.integer(column) for column in _COUNTS}
    try:
        counts = count_row(row)
    except InputError as error:
        return [
            Case(f"{name}: {column}", column, measured=value, agrees=False, detail={"fault": str(error)})
            for column, value in published.items()
        ]
    choice = "" if dict(counts.by_column) == published else _choice(row, published, counts.by_column)
    cases = []
    for column, value in published.items():
        predicted = counts.by_column[column]
        detail: dict[str, Any] = {"why": counts.why[column]} if column in counts.why else {}
        if value != predicted and choice:
            detail = {"why": choice, "is_choice": True}
        cases.append(
            Case.of_figures(f"{name}: {column}", column, value, predicted, "", agrees=value == predicted, detail=detail)
        )
    return cases


def _choice(row: Row, published: Mapping[str, int], ours: Mapping[str, int]) -> str:
    """Return how the published design comes out with its own spines and cores; empty if it does not."""
    if not published["spine"]:
        return ""
    pods = {1} if not published["core"] else {n for n in range(1, published["spine"] + 1) if not published["spine"] % n}
    for num_pods in sorted(pods):
        chosen = f", spines: {published['spine'] // num_pods}"
        if published["core"]:
            chosen += f", cores: {published['core']}"
        try:
            found = count_row(row, chosen)
        except InputError:
            continue
        if dict(found.by_column) == published:
            return (
                f"with{chosen[1:]} every count is the published one: {published['spine']} spines and "
                f"{published['core']} cores for {published['leaf_spine_cables']} and "
                f"{published['spine_core_cables']} cables, where {ours['spine']} and {ours['core']} have ports enough"
            )
    return ""


class BillSuite:
    """Bills of published reference designs."""

    name = "bill"
    title = "switches and cables of published reference designs, counted from nodes, ports and switch"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every count of every row."""
        cases = [case for row in data.rows(_FILE, columns=("case_id", "system", "nodes")) for case in _cases(row)]
        exact = sum(bool(case.agrees) for case in cases) / len(cases) if cases else None
        told = sum(bool(case.agrees or case.detail.get("is_choice")) for case in cases) / len(cases) if cases else None
        why = [f"{case.name}: {case.detail['why']}" for case in cases if "why" in case.detail]
        targets = [Target("exact or explained counts agreement_frac", told, 1.0, ">=")]
        return SuiteOutcome(cases, targets, why, {"exact_counts_frac": exact})


SUITE = BillSuite()

"""Hosts as boxes: height and power, by the host part of the catalogue that holds the same accelerators and NICs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from topologies.bill.money import Price, price_of
from topologies.fabric import Fabric, Float64s
from topologies.parts import Part

__all__ = ["HostBoxes", "HostLine", "has_racks", "host_boxes"]


@dataclass(frozen=True)
class HostLine:
    """Alike hosts.

    Attributes
    ----------
    model
        Part id of the host, else of its accelerators with ``× n``; empty if neither is known.
    count, accelerators
        Hosts, and accelerators in one.
    watts
        Most that all of them draw; NaN if not known.
    price
        Of all; of their accelerators alone where no host has a price; None if not known.
    is_whole
        Whether the price is of the whole host, NICs with it.
    """

    model: str
    count: int
    accelerators: int
    watts: float
    price: Price | None
    is_whole: bool


@dataclass(frozen=True, eq=False)
class HostBoxes:
    """Height and power of each host.

    Attributes
    ----------
    units
        ``(H,)`` U.
    watts
        ``(H,)`` most that it draws; NaN where nothing is known.
    notes
        Which part was taken, and what is not known.
    lines
        Hosts, alike ones together.
    """

    units: Float64s
    watts: Float64s
    notes: tuple[str, ...]
    lines: tuple[HostLine, ...]


def has_racks(fabric: Fabric) -> bool:
    """Tell whether the fabric itself says in which rack every host stands."""
    return len(fabric.rack_names) > 0 and bool((fabric.host_rack >= 0).all())


def host_boxes(fabric: Fabric, parts: Mapping[str, Part], default_units: float) -> HostBoxes:
    """Return the boxes: a host part with the same accelerators and NICs, else the accelerators' power alone."""
    num_nics = np.bincount(fabric.nic_host, minlength=fabric.num_hosts)
    nic_part = np.full(fabric.num_hosts, -1, np.int64)
    nic_part[fabric.nic_host] = fabric.node_part[fabric.num_accelerators : fabric.num_accelerators + fabric.num_nics]
    rows = np.stack([fabric.host_part, fabric.host_num_accelerators, nic_part, num_nics], axis=1)
    kinds, kind_of = np.unique(rows, axis=0, return_inverse=True)
    units, watts, notes, lines = [], [], [], []
    counts = np.bincount(kind_of.ravel(), minlength=len(kinds)).tolist()
    for count, (accelerator_idx, accelerators, nic_idx, nics) in zip(counts, kinds.tolist(), strict=True):
        accelerator = fabric.parts[accelerator_idx] if accelerator_idx >= 0 else None
        nic = fabric.parts[nic_idx] if nic_idx >= 0 else None
        box = _box(parts, accelerator, accelerators, nic, nics)
        what = f"{accelerators} × {accelerator.id if accelerator else 'an unknown accelerator'}"
        if box is not None:
            notes.append(f"hosts of {what} are taken as {box.id}")
        units.append(box.number("rack_units", default_units) if box else default_units)
        draw = box.number("watts", np.nan) if box else np.nan
        if np.isnan(draw) and accelerator is not None and "watts" in accelerator.values:
            draw = accelerators * accelerator.number("watts")
            notes.append(
                f"hosts of {what} draw what their accelerators draw, {draw:g} W: their other parts are not known"
            )
        elif np.isnan(draw):
            notes.append(f"the power of hosts of {what} is not known and is left out")
        if not has_racks(fabric) and (box is None or "rack_units" not in box.values):
            notes.append(f"hosts of {what} are {default_units:g} U high: no host part says otherwise")
        watts.append(draw)
        price = price_of(box) if box else None
        is_whole = price is not None
        if price is None and accelerator is not None:
            each = price_of(accelerator)
            price = each.times(accelerators) if each else None
            if price:
                notes.append(f"the price of hosts of {what} is that of their accelerators alone")
        model = box.id if box else f"{accelerator.id} × {accelerators}" if accelerator else ""
        lines.append(
            HostLine(model, count, accelerators, draw * count, price.times(count) if price else None, is_whole)
        )
    of = kind_of.ravel()
    return HostBoxes(
        np.asarray(units, np.float64)[of],
        np.asarray(watts, np.float64)[of],
        tuple(dict.fromkeys(notes)),
        tuple(lines),
    )


def _box(
    parts: Mapping[str, Part], accelerator: Part | None, accelerators: int, nic: Part | None, nics: int
) -> Part | None:
    if accelerator is None:
        return None
    fit = [
        part
        for part in parts.values()
        if part.part_class == "host"
        and part.values.get("accelerator") == accelerator.id
        and part.values.get("num_accelerators") == accelerators
        and part.values.get("num_nics") == nics
        and (nic is None or part.values.get("nic") == nic.id)
    ]
    known = [part for part in fit if "watts" in part.values]
    return (known or fit)[-1] if fit else None  # the last: a user's own parts come after the catalogue's

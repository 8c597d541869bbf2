"""Hosts of a file that knows only their names or NICs: what it lacks is filled in, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from topologies.builder import FabricBuilder, HostBlock
from topologies.errors import InputError
from topologies.fabric import Int64s
from topologies.formats.inside import HostInside
from topologies.formats.registry import ReadOptions
from topologies.kinds.design import ScaleUpSpec
from topologies.kinds.hosts import (
    HOST_LATENCY_US,
    SCALE_UP_LATENCY_US,
    ScaleUpPlan,
    add_scale_up,
    check_size,
    plan_scale_up,
)
from topologies.parts import Part
from topologies.parts_catalog import find_part, load_parts
from topologies.units import from_gb_per_s, from_us, to_gb_per_s

__all__ = ["HostRow", "accelerator_part", "accelerators_inside", "add_rows", "part_named"]

ASSUMED_SCALE_UP_GB_PER_S = 450.0
"""Scale-up rate of an accelerator that nothing tells, one direction, 10⁹ B/s: NVLink 4 of H100 and H200.
Source: parts h100-sxm and h200-sxm of the catalogue."""

ASSUMED_RACK_SCALE_UP_GB_PER_S = 900.0
"""The same where a domain spans hosts: NVLink 5 of GB200 and GB300, 10⁹ B/s. Source: part gb200 of the catalogue."""

_HOST_ACCELERATORS = 16  # no host of a published design holds more


@dataclass(frozen=True)
class HostRow:
    """A host as a file names it.

    Attributes
    ----------
    name
        Of the host.
    nics
        Labels of its NICs, in order.
    rails
        Rail of each NIC.
    nic_bytes_per_s
        Rate of each NIC.
    rack
        Name of its rack, if known.
    """

    name: str
    nics: tuple[str, ...]
    rails: tuple[int, ...]
    nic_bytes_per_s: tuple[float, ...]
    rack: str | None = None


def accelerator_part(options: ReadOptions) -> Part | None:
    """Return the part of the accelerators that was asked for, if any.

    Raises
    ------
    InputError
        If there is no such part.
    """
    part_id = options.accelerator or (options.inside.part if options.inside else "")
    parts = load_parts() if options.parts is None else options.parts
    return find_part(parts, part_id, "accelerator") if part_id else None


def part_named(types: set[str], options: ReadOptions) -> str | None:
    """Return the one part that a type of accelerator names, such as ``h100-sxm``; None if none or several fit."""
    if len(types) != 1:
        return None
    word = next(iter(types)).lower().replace("_", "-")
    parts = load_parts() if options.parts is None else options.parts
    fit = [
        p.id for p in parts.values() if p.part_class == "accelerator" and (p.id == word or p.id.startswith(f"{word}-"))
    ]
    return fit[0] if len(fit) == 1 else None


def add_rows(
    builder: FabricBuilder,
    rows: Sequence[HostRow],
    options: ReadOptions,
    *,
    is_infiniband: bool,
    guesses: list[str],
    domain_of_row: Int64s | None = None,
) -> dict[str, int]:
    """Add hosts with accelerators, NICs and scale-up links to a builder; return the ids of NICs by name.

    What is guessed is appended to `guesses`.

    Parameters
    ----------
    rows
        The hosts, in order.
    is_infiniband
        For the latency inside the host.
    domain_of_row
        ``(hosts,)`` scale-up domain of each host, whole domains one after the other; a host each if left out.
    """
    counts = _accelerators(rows, options, guesses)
    part = accelerator_part(options)
    latency_s = from_us(HOST_LATENCY_US["InfiniBand" if is_infiniband else "Ethernet"])
    if domain_of_row is None:
        domain_of_row = np.arange(len(rows))
    if options.inside is None and any(row.nics for row in rows):
        guesses.append("each accelerator reaches its NIC at the NIC's rate; accelerators are dealt to NICs in order")
    if options.inside is not None:
        guesses += [text for text in options.inside.guesses if text not in guesses]
    blocks: list[tuple[HostBlock, Int64s]] = []
    nic_ids: dict[str, int] = {}
    for first, last in _alike(rows, counts):
        row, count = rows[first], counts[first]
        check_size(last - first, count, len(row.nics), ())
        block = builder.add_hosts(
            [r.name for r in rows[first:last]],
            accelerators=count,
            part=part,
            nics=len(row.nics),
            nic_labels=row.nics,
            nic_rails=row.rails,
            host_link_bytes_per_s=max(row.nic_bytes_per_s, default=0.0),
            host_link_latency_s=latency_s,
            racks=None if row.rack is None else [builder.rack(str(r.rack)) for r in rows[first:last]],
            accelerator_labels=None if options.inside is None else options.inside.accelerators,
            host_links=options.inside is None,
        )
        if options.inside is not None:
            _add_inside(builder, block, row, options.inside, latency_s, guesses)
        blocks.append((block, np.asarray(domain_of_row[first:last])))
        nic_names = (f"{r.name}/{label}" for r in rows[first:last] for label in r.nics)
        nic_ids.update(zip(nic_names, block.nic.ravel().tolist(), strict=True))
    _add_domains(builder, blocks, rows, part, options, guesses)
    return nic_ids


def _alike(rows: Sequence[HostRow], counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield ``(first, last)`` of each run of hosts that are added together."""
    first = 0
    keys = [(r.nics, r.rails, r.nic_bytes_per_s, r.rack is None, c) for r, c in zip(rows, counts, strict=True)]
    for i in range(1, len(rows) + 1):
        if i == len(rows) or keys[i] != keys[first]:
            yield first, i
            first = i


def accelerators_inside(inside: HostInside, options: ReadOptions) -> int:
    """Return how many accelerators a host has by the file of its inside.

    Raises
    ------
    InputError
        If another number was asked for.
    """
    found = len(inside.accelerators)
    if options.accelerators not in (None, found):
        raise InputError(
            what="the inside of a host has another number of accelerators",
            where="--accelerators",
            found=options.accelerators,
            allowed=f"{found}, as the file of the inside says",
        )
    return found


def _accelerators(rows: Sequence[HostRow], options: ReadOptions, guesses: list[str]) -> list[int]:
    """Return the accelerators of each host: as told, else one for each NIC that hosts like it have."""
    if options.inside is not None:
        return [accelerators_inside(options.inside, options)] * len(rows)
    if options.accelerators is not None:
        return [options.accelerators] * len(rows)
    common = Counter(row.nics for row in rows).most_common(1)[0][0]
    known: Mapping[str, int] = options.gpus_of
    counts, guessed = [], set()
    for row in rows:
        if known.get(row.name, 0) > 0:
            counts.append(known[row.name])
            continue
        like = common if set(row.nics) <= set(common) else row.nics
        counts.append(max(len(like), 1))
        guessed.add(counts[-1])
    if guessed:
        each = " or ".join(map(str, sorted(guessed)))
        guesses.append(f"{each} accelerator{'s' if guessed != {1} else ''} a host, one for each NIC")
    return counts


def _add_inside(
    builder: FabricBuilder, block: HostBlock, row: HostRow, inside: HostInside, latency_s: float, guesses: list[str]
) -> None:
    """Add the links inside alike hosts as a file tells them: accelerators to NICs, and direct scale-up links."""
    place = {label: i for i, label in enumerate(row.nics)}
    position = [place.get(label, -1) for label in inside.nics]
    if row.nics and max(position, default=-1) < 0:
        position = [i if i < len(row.nics) else -1 for i in range(len(inside.nics))]
        _say(guesses, "NICs of the host's inside and of the network have other names: they are matched in order")
    links = [(a, position[n], rate) for a, n, rate in inside.nearest if position[n] >= 0]
    num = len(inside.accelerators)
    for near in (0, 1):  # accelerators, then NICs, that the file leaves without a partner in this network
        there = {link[near] for link in links}
        lonely = [i for i in range(len(row.nics) if near else num) if i not in there]
        if lonely and row.nics:
            _say(
                guesses, f"{'NICs' if near else 'accelerators'} that the host's inside leaves alone are dealt in order"
            )
            every = len(row.nics)
            links += [(i * num // every, i, 0.0) if near else (i, i * every // num, 0.0) for i in lonely]
    for accelerator, nic, rate in links:
        builder.add_cables(
            block.accelerator[:, accelerator],
            block.nic[:, nic],
            rate_bytes_per_s=rate or row.nic_bytes_per_s[nic],
            latency_s=latency_s,
        )
    for a, b, rate in inside.pairs:
        builder.add_cables(
            block.accelerator[:, a],
            block.accelerator[:, b],
            rate_bytes_per_s=rate,
            latency_s=from_us(SCALE_UP_LATENCY_US),
        )
    _say(guesses, "each accelerator reaches its NIC at the NIC's rate; all hosts look like this one inside")


def _say(guesses: list[str], text: str) -> None:
    if text not in guesses:
        guesses.append(text)


def _add_domains(
    builder: FabricBuilder,
    blocks: Sequence[tuple[HostBlock, Int64s]],
    rows: Sequence[HostRow],
    part: Part | None,
    options: ReadOptions,
    guesses: list[str],
) -> None:
    """Join the accelerators of each domain by scale-up links."""
    accelerator = [ids for block, _ in blocks for ids in block.accelerator]
    domain = np.concatenate([domains for _, domains in blocks])
    name_of: dict[int, str] = {}
    for row, d in zip(rows, domain.tolist(), strict=True):
        name_of.setdefault(d, row.name)
    sizes = np.bincount(domain, weights=[len(ids) for ids in accelerator]).astype(np.int64)
    for size in np.unique(sizes[sizes > 1]).tolist():
        plan = _scale_up(part, size, options, guesses)
        members = [i for i in range(len(rows)) if sizes[domain[i]] == size]
        ids = np.concatenate([accelerator[i] for i in members])
        of = np.concatenate([np.full(len(accelerator[i]), domain[i]) for i in members])
        own = list(dict.fromkeys(of.tolist()))
        number = {d: k for k, d in enumerate(own)}
        names = [f"{name_of[d]}/nvs{k}" for d in own for k in range(plan.switches)]
        add_scale_up(builder, plan, ids[:, None], np.array([number[d] for d in of.tolist()]), [names])


def _scale_up(part: Part | None, size: int, options: ReadOptions, guesses: list[str]) -> ScaleUpPlan:
    inside: HostInside | None = options.inside
    if inside is not None:
        if not inside.switched_bytes_per_s:
            return ScaleUpPlan("none", 0, None, 0.0, 0.0, False)
        return ScaleUpPlan("switch", 1, None, inside.switched_bytes_per_s, from_us(SCALE_UP_LATENCY_US), True)
    parts = load_parts() if options.parts is None else options.parts
    if part is not None and part.number("scale_up_bytes_per_s", 0.0):
        plan = plan_scale_up(ScaleUpSpec(), part, size, parts, ())
        told = f"{to_gb_per_s(plan.bytes_per_s):g} GB/s an accelerator, by part {part.id}"
    else:
        spans = size > _HOST_ACCELERATORS
        rate_gb_per_s = ASSUMED_RACK_SCALE_UP_GB_PER_S if spans else ASSUMED_SCALE_UP_GB_PER_S
        plan = ScaleUpPlan("switch", 1, None, from_gb_per_s(rate_gb_per_s), from_us(SCALE_UP_LATENCY_US), True)
        told = f"{rate_gb_per_s:g} GB/s an accelerator (NVLink {5 if spans else 4})"
    guess = f"{size} accelerators share a scale-up domain, {told}"
    if guess not in guesses:
        guesses.append(guess)
    return plan

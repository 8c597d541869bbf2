"""Claims on what collectives and messages take: each taker knows one form of claim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from planner.collectives.collective import collective_time
from planner.collectives.efficiency import NETWORK_LATENCY_FACTORS, UNCALIBRATED
from planner.collectives.moe import Experts, moe_times
from planner.validation.record import Case
from planner.validation.suites.effects_record import ClaimTaker, Effect, judged, number, numbers
from planner.validation.suites.hardware_text import nodes_in, setup_of_text
from planner.validation.suites.measured_systems import Setup, efficiency_of, fabric_of
from topologies.errors import InputError
from topologies.units import parse_bytes, to_gb_per_s, to_gbps

__all__ = ["NETWORK_CLAIMS"]

_Taken = tuple[Iterable[str], list[Case]]
_GENERATIONS = MappingProxyType({"80": "a100", "90": "h100", "100": "b200"})
_LARGE_BYTES = 16 * 2**30
_CONNECTX_GBPS = MappingProxyType({"6": 200, "7": 400, "8": 800})


def _time_s(setup: Setup, size_bytes: float, op: str = "all-reduce", **options: object) -> float:
    fabric = fabric_of(setup)
    ranks = np.arange(setup.num_ranks)
    table = collective_time(fabric, ranks, op, [round(size_bytes)], efficiency=efficiency_of(setup, fabric), **options)
    return float(table.time_s[0, 0])


def _busbw_gb_per_s(setup: Setup, size_bytes: float, op: str = "all-reduce", **options: object) -> float:
    factor = {"all-reduce": 2.0, "all-to-all": 1.0}[op] * (setup.num_ranks - 1) / setup.num_ranks
    return to_gb_per_s(factor * size_bytes / _time_s(setup, size_bytes, op, **options))


def _slowdown_by_size(effect: Effect) -> _Taken:
    """Take how much longer an all-reduce takes over several nodes than in one."""
    key = "slowdown_by_size"
    if key not in effect.claims:
        return [], []
    where = f"{effect.where}: {key}"
    nodes = nodes_in(effect.text)
    if len(nodes) < 2:
        raise InputError(what="the set-up names no two numbers of nodes", where=where, found=repr(effect.text))
    few, many = (setup_of_text(effect.text, nodes=n, where=where) for n in (min(nodes), max(nodes)))
    cases = []
    for size, claimed in numbers(effect.claims[key], where).items():
        size_bytes = parse_bytes(size, where=where)
        predicted = _time_s(many, size_bytes) / _time_s(few, size_bytes)
        same = (predicted > 1) == (claimed > 1)
        why = "what latency and fill the network adds differs between sources by more than the band"
        cases.append(judged(f"{effect.id}: {size}", claimed, predicted, "times", same_direction=same, why=why))
    return [key], cases


def _many_small(effect: Effect) -> _Taken:
    """Take busbw of one large message, and of many small ones: ``busbw_gbps_1000x4MB``."""
    found = {key: re.fullmatch(r"busbw_gbps_(\d+)x(\d+[A-Za-z]+)", key) for key in effect.claims}
    taken = {key: parse_bytes(match.group(2), where=effect.where) for key, match in found.items() if match}
    if not taken:
        return [], []
    setup = setup_of_text(effect.text, nodes=1, where=effect.where)
    predicted = {key: to_gbps(1e9 * _busbw_gb_per_s(setup, size)) for key, size in taken.items()}
    claimed = {key: number(effect.claims[key], effect.where) for key in taken}
    by_claim, by_model = sorted(taken, key=lambda k: claimed[k]), sorted(taken, key=lambda k: predicted[k])
    same = by_claim == by_model
    return taken, [
        judged(f"{effect.id}: {key}", claimed[key], predicted[key], "Gbit/s", same_direction=same) for key in taken
    ]


def _link_rates(effect: Effect) -> _Taken:
    """Take what one pair moves over its scale-up links: ``H100_GBs`` beside ``H100_spec``."""
    taken, cases = [], []
    for key, value in effect.claims.items():
        found = re.fullmatch(r"([A-Za-z]+\d+)(?:_ce)?_GBs", str(key))
        if not found or f"{found.group(1)}_spec" not in effect.claims:
            continue
        spec = number(effect.claims[f"{found.group(1)}_spec"], effect.where)
        setup = setup_of_text(found.group(1), nodes=1, where=effect.where, a_node=2)
        pair = replace(setup, scale_up_gb_per_s=spec, scale_up_domain=2)
        predicted = to_gb_per_s(_LARGE_BYTES / _time_s(pair, _LARGE_BYTES, "send-recv"))
        claimed = number(value, effect.where)
        same = (predicted < spec) == (claimed < spec)
        taken.append(key)
        cases.append(judged(f"{effect.id}: {key}", claimed, predicted, "GB/s", same_direction=same))
    return taken, cases


def _network_kinds(effect: Effect) -> _Taken:
    """Take how much longer a message takes on Ethernet than on InfiniBand: ``roce_x_us`` beside ``ib_x_us``."""
    taken: list[str] = []
    cases = []
    predicted = NETWORK_LATENCY_FACTORS["Ethernet"] / NETWORK_LATENCY_FACTORS["InfiniBand"]
    for key in effect.claims:
        other = f"ib_{key.removeprefix('roce_')}"
        if not key.startswith("roce_") or not key.endswith("_us") or other not in effect.claims:
            continue
        claimed = number(effect.claims[key], effect.where) / number(effect.claims[other], effect.where)
        name = key.removeprefix("roce_").removesuffix("_us").replace("_", " ")
        taken += [key, other]
        cases.append(
            judged(f"{effect.id}: RoCE ÷ InfiniBand, {name}", claimed, predicted, "times", same_direction=claimed > 1)
        )
    return taken, cases


def _in_network_gain(effect: Effect) -> _Taken:
    """Take what reduction in the network gains over the best without, a range in percent."""
    key = "gain_over_ring_or_nvlstree_pct_range"
    if key not in effect.claims:
        return [], []
    where = f"{effect.where}: {key}"
    value = effect.claims[key]
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(what="the claim is no range", where=where, found=repr(value), allowed="two numbers")
    low, high = sorted(number(end, where) for end in value)
    nodes = nodes_in(effect.text)
    size = re.search(r"\d+(?:\.\d+)?\s*[KMGT]i?B", effect.text)
    if not nodes or not size:
        raise InputError(what="the set-up names no nodes or no size", where=where, found=repr(effect.text))
    counts = [n for n in (2**k for k in range(1, 16)) if min(nodes) <= n <= max(nodes)]
    gains = []
    for count in counts:
        # Runs that reduce in the network have InfiniBand switches.
        setup = replace(setup_of_text(effect.text, nodes=count, where=where), network="InfiniBand")
        size_bytes = parse_bytes(size.group(), where=where)
        without = min(_time_s(setup, size_bytes, algorithm=name) for name in ("ring", "nvlstree"))
        gains.append(100 * (without / _time_s(setup, size_bytes, collnet=True) - 1))
    predicted = float(np.median(gains))
    why = "two published clusters differ by 40 % in what reduction in the network gets; the model takes their middle"
    middle = (low + high) / 2
    same = predicted > 0
    return [key], [judged(effect.id, middle, predicted, "%", same_direction=same, range_=(low, high), why=why)]


def _same_specification(effect: Effect) -> _Taken:
    """Take ring busbw of clusters of one specification: ``name_32n_16GiB``."""
    taken, cases = [], []
    for key, value in effect.claims.items():
        found = re.fullmatch(r"(\w+)_(\d+)n_(\d+[KMGT]i?B)", key)
        if not found:
            continue
        setup = setup_of_text(effect.text, nodes=int(found.group(2)), where=effect.where)
        size = parse_bytes(found.group(3), where=effect.where)
        predicted = _busbw_gb_per_s(replace(setup, network="InfiniBand"), size, algorithm="ring")
        taken.append(key)
        cases.append(judged(f"{effect.id}: {key}", number(value, effect.where), predicted, "GB/s"))
    return taken, cases


def _exchange_by_width(effect: Effect) -> _Taken:
    """Take busbw of all-to-alls between two nodes by accelerators a node, and how many pairs are slow."""
    key = "alltoall_peak_busbw_median"
    if key not in effect.claims:
        return [], []
    where = f"{effect.where}: {key}"
    cases, figures = [], []
    for width, claimed in numbers(effect.claims[key], where).items():
        if not re.fullmatch(r"G\d+", width):
            raise InputError(what="not a number of accelerators", where=where, found=repr(width), allowed="G8")
        setup = setup_of_text(effect.text, nodes=2, where=where, a_node=int(width[1:]))
        figures.append((claimed, _busbw_gb_per_s(setup, _LARGE_BYTES, "all-to-all")))
        cases.append((width, *figures[-1]))
    rises = np.all(np.diff([c for c, _ in figures]) > 0) == np.all(np.diff([p for _, p in figures]) > 0)
    made = [
        judged(f"{effect.id}: {width}", claimed, predicted, "GB/s", same_direction=bool(rises))
        for width, claimed, predicted in cases
    ]
    slow = effect.claims.get("pairs_below_80pct_of_median")
    if slow is not None:
        name = f"{effect.id}: pairs below 80 % of the median"
        made.append(judged(name, number(slow, effect.where), 0.0, "pairs", range_=(0, number(slow, effect.where))))
    return [key, "pairs_below_80pct_of_median"], made


def _bad_pairs(effect: Effect) -> _Taken:
    """Take pairs at half the busbw of others: the model halves the NICs of the nodes that only slow pairs have."""
    key = "busbw_by_pair"
    if key not in effect.claims:
        return [], []
    claimed = numbers(effect.claims[key], f"{effect.where}: {key}")
    best = max(claimed.values())
    nodes = {pair: set(re.findall(r"\w+", pair.partition("(")[0])) for pair in claimed}
    fast = set().union(*(nodes[pair] for pair, rate in claimed.items() if rate > 0.8 * best))
    pair_of_two = Setup("pair", "", "", "", "a100", 16, 2, 8, 8, 0, 300.0, 0.0, 8, 200.0, "", "")
    whole = _busbw_gb_per_s(pair_of_two, 2**33, algorithm="ring")
    fabric = fabric_of(pair_of_two)
    nics = np.flatnonzero((fabric.link_tier == 1) & (fabric.link_source < fabric.num_accelerators + fabric.num_nics))
    broken = fabric.with_capacity(nics[:8].tolist(), float(fabric.link_capacity_bytes_per_s[nics[0]]) / 2)
    table = collective_time(broken, np.arange(16), "all-reduce", [2**33], algorithm="ring", efficiency=UNCALIBRATED)
    half = to_gb_per_s(float(table.busbw_bytes_per_s[0, 0])) / whole
    cases = []
    for pair, rate in claimed.items():
        suspect = bool(nodes[pair] - fast) and rate <= 0.8 * best
        predicted = half if suspect else 1.0
        same = (rate <= 0.8 * best) == (predicted < 1)
        cases.append(judged(f"{effect.id}: {pair}", rate / best, predicted, "of the best", same_direction=same))
    return [key], cases


def _expert_exchange(effect: Effect) -> _Taken:
    """Take bandwidths of expert dispatch and combine as DeepEP counts them: ``SM90_CX7_EP8x2``."""
    taken, cases = [], []
    for key, value in effect.claims.items():
        found = re.fullmatch(r"SM(\d+)(?:_CX(\d+))?_EP(\d+)(?:x(\d+))?", key)
        if not found or found.group(1) not in _GENERATIONS:
            continue
        setup = effect.setup
        tokens, hidden, top_k, experts = (
            number(setup.get(name), f"{effect.where}: {name}") for name in ("tokens", "hidden", "topk", "experts")
        )
        nodes, a_node = int(found.group(4) or 1), int(found.group(3))
        text = f"{a_node}x {_GENERATIONS[found.group(1)]} {a_node}x{_CONNECTX_GBPS.get(found.group(2) or '7', 400)}G"
        hardware = setup_of_text(text, nodes=nodes, where=effect.where)
        fabric = fabric_of(hardware)
        table = moe_times(
            fabric,
            [np.arange(hardware.num_ranks)],
            Experts(int(experts), int(top_k)),
            tokens=tokens,
            bytes_a_token=2 * hidden,
            efficiency=efficiency_of(hardware, fabric),
        )
        predicted = to_gb_per_s(float(table.logical_bytes[0] / table.time_s[0]))
        taken.append(key)
        for name, claimed in numbers(value, f"{effect.where}: {key}").items():
            if name.startswith(("dispatch", "combine")):
                cases.append(judged(f"{effect.id}: {key} {name}", claimed, predicted, "GB/s"))
    return taken, cases


NETWORK_CLAIMS: tuple[ClaimTaker, ...] = (
    _slowdown_by_size,
    _many_small,
    _link_rates,
    _network_kinds,
    _in_network_gain,
    _same_specification,
    _exchange_by_width,
    _bad_pairs,
    _expert_exchange,
)

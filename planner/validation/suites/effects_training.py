"""Claims on what a network makes of training: rail-only against any-to-any, and planes of rails against joined ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from planner.collectives.network_limits import network_limits
from planner.validation.record import Case
from planner.validation.suites.effects_record import ClaimTaker, Effect, judged, number
from planner.weigh.search import Scan
from planner.workloads.fabric_pricing import FabricPricer
from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.machine import machine_of_fabric
from planner.workloads.model_catalogue import find_model
from planner.workloads.step_time import step_times
from planner.workloads.training import Mappings, TrainingJob
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document

__all__ = ["TRAINING_CLAIMS"]

_Taken = tuple[Iterable[str], list[Case]]

# Two step times that differ by less say nothing of a direction: runs repeat to about this (suite `train`).
_NOISE_FRAC = 0.03
_LEAVES = {"dgx-a100": "qm8790"}
_MOST_ACCELERATORS = 16_384
_A_HOST = 8


@cache
def _built(text: str) -> Fabric:
    return fabric_of(parse_document("schema_version: 1\nname: claim\n" + text, "claim.yaml"))


def _word(setup: Mapping[str, Any], key: str, usual: str) -> str:
    return str(setup.get(key, usual))


def _size(effect: Effect, key: str, usual: int) -> int:
    value = number(effect.setup.get(key, usual), f"{effect.where}: {key}")
    if not 1 <= value <= _MOST_ACCELERATORS or value != int(value):
        raise InputError(
            what=f"bad {key}", where=effect.where, found=value, allowed=f"a whole number to {_MOST_ACCELERATORS:,}"
        )
    return int(value)


def _rail_only(part: str, hosts: int, hosts_a_domain: int) -> Fabric:
    leaf = _LEAVES.get(part, "qm9700")
    return _built(
        f"kind: rail-only\nhosts: {{part: {part}, count: {hosts}}}\nhosts_a_domain: {hosts_a_domain}\n"
        f"network: {{leaf: {leaf}}}\n"
    )


def _relayed_overhead(effect: Effect) -> _Taken:
    """Take what forwarding inside the domains adds to an all-to-all on a network of separate rails, in percent.

    Stored and forwarded, as the claim assumes: what one accelerator moves inside its domain for others, over its
    scale-up rate, added to what the network takes, both at line rates. Run as a pipeline (PXN) nothing is added for as
    long as the domain is faster than the network.
    """
    key = "alltoall_overhead_pct_range"
    if key not in effect.claims:
        return [], []
    value = effect.claims[key]
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(
            what="the claim is no range", where=f"{effect.where}: {key}", found=repr(value), allowed="two numbers"
        )
    low, high = sorted(number(end, f"{effect.where}: {key}") for end in value)
    domain, domains = _size(effect, "scale_up_domain", 256), _size(effect, "domains", 8)
    cases = []
    for part in effect.setup.get("hosts", ["dgx-a100", "dgx-h100"]):
        fabric = _rail_only(str(part), domain * domains // _A_HOST, domain // _A_HOST)
        ranks = fabric.num_accelerators
        limits = network_limits(fabric, [np.arange(ranks)], "all-to-all")
        up = float(fabric.link_capacity_bytes_per_s[fabric.link_kind == LinkKind.SCALE_UP].min())
        own = (domain - 1) / ranks / up  # what stays inside the domain on any network
        overhead = 100 * (float(limits.scale_up_s_per_byte[0]) - own) / float(limits.network_s_per_byte[0])
        same = (overhead > 0) == (low > 0)
        middle = (low + high) / 2
        # The ends are rounded to a tenth.
        cases.append(
            judged(f"{effect.id}: {part}", middle, overhead, "%", same_direction=same, range_=(low - 0.05, high + 0.05))
        )
    return [key], cases


def _without_spine(effect: Effect) -> _Taken:
    """Take the step time on rails that nothing joins over that on a Clos network, the best mapping found on each."""
    key = "rail_only_training_time_ratio"
    if key not in effect.claims:
        return [], []
    claimed = number(effect.claims[key], f"{effect.where}: {key}")
    hosts = _size(effect, "accelerators", 1024) // _A_HOST
    cases = []
    for name in effect.setup.get("models", ["gpt3-175b", "megatron-1t"]):
        job = TrainingJob(find_model(str(name)), 2048, _size(effect, "global_batch", 1024), "bf16")
        steps = []
        for fabric in (
            _rail_only("dgx-h100", hosts, 1),
            _built(f"kind: rail-optimized\nhosts: {{part: dgx-h100, count: {hosts}}}\nnetwork: {{leaf: qm9700}}\n"),
        ):
            scan = Scan.of(job, machine_of_fabric(fabric))
            steps.append(scan.best_on(FabricPricer.of(fabric), shortlist=16, keep=1).step_s)
        cases.append(_ratio(f"{effect.id}: {name}", claimed, steps[0] / steps[1]))
    return [key], cases


def _ratio(name: str, claimed: float, predicted: float) -> Case:
    near = abs(claimed - 1) < _NOISE_FRAC and abs(predicted - 1) < _NOISE_FRAC
    same = near or (claimed > 1) == (predicted > 1)
    band = (claimed * (1 - _NOISE_FRAC), claimed * (1 + _NOISE_FRAC))
    return judged(name, claimed, predicted, "ratio", same_direction=same, range_=band)


def _planes(effect: Effect) -> _Taken:
    """Take figures of one run on planes of rails and on joined rails: ``mpft_x`` beside ``mrft_x``.

    A figure of work (tokens, TFLOPS, MFU) is turned over, so that all are ratios of times.
    """
    pairs = [key for key in effect.claims if key.startswith("mpft_") and f"mrft_{key[5:]}" in effect.claims]
    if not pairs:
        return [], []
    step = {}
    for planes in ("by-rail", "together"):
        fabric = _built(
            f"kind: rail-optimized\nhosts: {{accelerator: {_word(effect.setup, 'accelerator', 'h800-sxm')}, "
            f"accelerators: {_A_HOST}, nic: connectx-7-400g, nics: {_A_HOST}, "
            f"count: {_size(effect, 'accelerators', 2048) // _A_HOST}}}\nnetwork: {{leaf: qm9700, planes: {planes}}}\n"
        )
        pp = _size(effect, "pp", 16)
        mapping = Mappings.of(
            tp=1, pp=pp, dp=fabric.num_accelerators // pp, ep=_size(effect, "ep", 64), micro_batch=1, zero=1
        )
        job = TrainingJob(
            find_model(_word(effect.setup, "model", "deepseek-v3")),
            _size(effect, "seq", 4096),
            _size(effect, "global_batch", 15_360),
            _word(effect.setup, "precision", "fp8"),
            FRAMEWORKS["dualpipe"],
        )
        times = step_times(job, machine_of_fabric(fabric), mapping, FabricPricer.of(fabric))
        step[planes] = float(times.total_s[0])
    predicted = step["by-rail"] / step["together"]
    cases, taken = [], []
    for key in pairs:
        other = f"mrft_{key[5:]}"
        ratio = number(effect.claims[key], effect.where) / number(effect.claims[other], effect.where)
        work = any(word in key for word in ("token", "flop", "mfu"))
        cases.append(_ratio(f"{effect.id}: {key[5:]}", 1 / ratio if work else ratio, predicted))
        taken += [key, other]
    told = effect.claims.get("mrft_step_s")
    if told is not None:
        cases.append(judged(f"{effect.id}: mrft_step_s itself", number(told, effect.where), step["together"], "s"))
    return taken, cases


TRAINING_CLAIMS: tuple[ClaimTaker, ...] = (_relayed_overhead, _without_spine, _planes)

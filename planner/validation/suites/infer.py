"""Published serving figures against the serving model: prefill and decode an accelerator, or how many a load needs.

A case is free text; what counts of it are the accelerator, the model, ``EP n``, ``n ranks``, ``nK input``, a precision,
and the figures. What is not said is the best that fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from planner.validation.suites.train_rows import part_named
from planner.workloads.machine import machine_of_part
from planner.workloads.model_catalogue import find_model, load_models
from planner.workloads.serving import Serving, decode_rate, prefill_tokens_per_s
from planner.workloads.transformer import Transformer
from topologies.errors import InfeasibleError, InputError
from topologies.parts import Part

__all__ = ["SUITE"]

_FILE = "measured/infer.yaml"
_TARGET_MAX_ERROR_FRAC = 0.25
_A_NODE = 8
_FIGURE = re.compile(r"(prefill|input|decode|output)_tokens_per_s(_per_node|_per_gpu)?")
_EP = re.compile(r"\bEP(\d+)")
_RANKS = re.compile(r"(?:(\d+)-)?(\d+) ranks prefill")
_NODES = re.compile(r"(\d+) nodes prefill")
_PROMPT = re.compile(r"(\d+)K input")
_LIVE = re.compile(r"(\d+)B of (\d+)B input tokens")
_RATIO = "ratio_vs_"
_TRIED_EP = (1, 2, 4, 8, 16, 32, 64)
# "Large" expert parallelism begins with DeepSeek's own unit of prefill, 32 (open-infra-index, day 6).
_LARGE_EP = (32, 64, 96)
_K = 1024
# Prompts and outputs of the benchmarks that do not say theirs (SGLang's: 2,000 in, 100 out).
_USUAL_PROMPT, _USUAL_OUTPUT = 2048, 128
# What the benchmarks hold a token to (SGLang, large-scale expert parallelism, May 2025).
_SLO_S = 0.1
_MODELS = (("deepseek", "deepseek-v3"), ("dsv3", "deepseek-v3"), ("kimi", "kimi-k2"))


def _model(text: str) -> Transformer | None:
    words = text.lower()
    known = next((name for word, name in _MODELS if word in words), None)
    known = known or next((name for name in load_models() if name in words), None)
    # The one source of a system's name alone serves DeepSeek-V3 in all its parts.
    if known is None and "sglang" in words:
        known = "deepseek-v3"
    return find_model(known) if known else None


def _best(model: Transformer, part: Part, tried: Sequence[int], precision: str, rate: Any) -> float | None:
    found = []
    for ways in tried:
        try:
            found.append(rate(Serving(model, machine_of_part(part, ways), 1, ways, precision)))
        except (InfeasibleError, InputError):
            continue
    return max(found, default=None)


def _cases(entry: Mapping[str, Any]) -> Iterator[Case]:
    name, setup = str(entry.get("id", "")), str(entry.get("setup", ""))
    text = f"{name} {setup}"
    quality = str(entry.get("quality", ""))
    part, model = part_named(setup or name), _model(text)
    figures = {
        key: value for key, value in entry.items() if _FIGURE.fullmatch(str(key)) and isinstance(value, (int, float))
    }
    if not figures:
        yield Case(name, "claim", counts=False, why_not="no throughput: a ratio of two systems, or a claim")
        return
    if part is None or model is None:
        yield Case(name, "figure", counts=False, why_not="no part or model of the catalogue is named")
        return
    live = _LIVE.search(str(entry.get("note", "")))
    cached = int(live.group(1)) / int(live.group(2)) if live else 0.0
    why_not = "" if quality.startswith("A") else f"quality {quality[:1]}"
    if live:
        why_not = "a day's average of live traffic, not a pool at its limit"
    ep_told, ranks = _EP.search(setup), _RANKS.search(setup)
    nodes = _NODES.search(setup)
    usual: tuple[int, ...] = _LARGE_EP if "large ep" in setup.lower() else _TRIED_EP
    prefill_ep: tuple[int, ...] = usual
    if ep_told:
        prefill_ep = (int(ep_told.group(1)),)
    elif ranks:
        prefill_ep = (int(ranks.group(2)),)
    elif nodes:
        prefill_ep = (int(nodes.group(1)) * _A_NODE,)
    decode_ep = prefill_ep if ep_told else usual
    precision = "fp4" if "nvfp4" in text.lower() and "fp4" in machine_of_part(part, 1).peak_flops_per_s else "fp8"
    prompt_told = _PROMPT.search(setup)
    prompt = int(prompt_told.group(1)) * _K if prompt_told else _USUAL_PROMPT

    def prefill(tokens: int, in_precision: str = precision) -> float | None:
        # A wider precision may need more accelerators than the ones told.
        return _best(
            model,
            part,
            prefill_ep if in_precision == precision else usual,
            in_precision,
            lambda s: prefill_tokens_per_s(s, tokens, cached_frac=cached),
        )

    def decode() -> float | None:
        return _best(
            model, part, decode_ep, precision,
            lambda s: decode_rate(s, prompt + _USUAL_OUTPUT / 2, slo_s=_SLO_S).tokens_per_s,
        )  # fmt: skip

    totals: dict[str, float] = {}
    for key, value in figures.items():
        match = _FIGURE.fullmatch(key)
        phase, unit = (match.group(1), match.group(2)) if match else ("", None)
        if unit is None:
            totals[phase] = float(value)
            continue
        each = prefill(prompt) if phase in ("prefill", "input") else decode()
        if each is None:
            yield Case(f"{name} {phase}", "figure", counts=False, why_not="the model fits on no mapping")
            continue
        times = _A_NODE if unit == "_per_node" else 1
        yield Case.of_figures(
            f"{name} {phase}{unit}",
            "figure",
            float(value),
            each * times,
            "tokens/s",
            counts=not why_not,
            why_not=why_not,
        )
        for length, figure in dict(entry.get("by_prompt") or {}).items():
            rate = prefill(int(str(length).rstrip("K")) * _K)
            if rate is not None:
                yield Case.of_figures(
                    f"{name} {length} prompts", "figure", float(figure), rate * times, "tokens/s", counts=not why_not,
                    why_not=why_not,
                )  # fmt: skip
        for ratio_key, claimed in entry.items():
            other = part_named(str(ratio_key)[len(_RATIO) :]) if str(ratio_key).startswith(_RATIO) else None
            if other is None or not isinstance(claimed, (int, float)):
                continue
            rival = _rate_on(other, model, phase, prompt)
            if rival is not None:
                # Told, not counted: the other system's set-up is not in the case.
                yield Case.of_figures(
                    f"{name} {ratio_key}", "ratio", float(claimed), each / rival, "ratio", counts=False,
                    why_not="how the other system was set up is not told", agrees=(claimed > 1) == (each > rival),
                )  # fmt: skip
        variant = entry.get("bf16_fp8_variant")
        rate = prefill(prompt, "fp8") if variant else None
        if rate is not None and isinstance(variant, (int, float)):
            yield Case.of_figures(f"{name} fp8 experts", "figure", float(variant), rate * times, "tokens/s",
                                  counts=not why_not, why_not=why_not)  # fmt: skip
    if totals:
        yield from _needed(name, totals, setup, prefill(prompt), decode(), why_not)


def _rate_on(part: Part, model: Transformer, phase: str, prompt: int) -> float | None:
    """Return what an accelerator of another part gives in the same phase, in fp8, experts spread as widely as pays."""
    if phase in ("prefill", "input"):
        return _best(model, part, _TRIED_EP, "fp8", lambda s: prefill_tokens_per_s(s, prompt))
    context = prompt + _USUAL_OUTPUT / 2
    return _best(model, part, _TRIED_EP, "fp8", lambda s: decode_rate(s, context, slo_s=_SLO_S).tokens_per_s)


def _needed(
    name: str, totals: Mapping[str, float], setup: str, prefill: float | None, decode: float | None, why_not: str
) -> Iterator[Case]:
    """Compare the accelerators that the load of all pools needs with those there were."""
    count = re.search(r"\bon (\d+)|(\d+) [A-Z]", setup)
    if count is None or prefill is None or decode is None:
        yield Case(name, "pool", counts=False, why_not="the size of the pools is not told, or the model does not fit")
        return
    there = float(count.group(1) or count.group(2))
    needed = sum(value / (prefill if phase in ("prefill", "input") else decode) for phase, value in totals.items())
    yield Case.of_figures(f"{name} accelerators for its load", "pool", there, needed, "accelerators",
                          counts=not why_not, why_not=why_not)  # fmt: skip


class InferSuite:
    """Published serving figures."""

    name = "infer"
    title = "published serving figures: prefill and decode an accelerator"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Predict every figure."""
        root = data.yaml(_FILE)
        entries = root.get("cases") if isinstance(root, Mapping) else None
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise InputError(what="not a file of serving figures", where=_FILE, allowed="a list of cases")
        cases = [case for entry in entries for case in _cases(entry)]
        errors = [case.error_frac for case in cases if case.counts and case.error_frac is not None]
        left_out = [f"{case.name}: {case.why_not}" for case in cases if case.why_not]
        return SuiteOutcome(
            cases,
            [
                Target("max_error_frac", max(errors, default=None), _TARGET_MAX_ERROR_FRAC),
                Target("median_error_frac", quantile(errors, 0.5), _TARGET_MAX_ERROR_FRAC),
            ],
            left_out,
        )


SUITE = InferSuite()

"""The models behind the figures, and how far off each is: from the validation suites, kept beside this file.

``model_errors.json`` is made by ``make errors`` from what ``scaleplan validate`` measures; nothing in it is typed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["MODELS", "Model", "model_errors", "suites_behind"]


@dataclass(frozen=True, slots=True)
class Model:
    """What reckons a kind of figure.

    Attributes
    ----------
    title, how
        Its name, and in a sentence how it reckons.
    told
        ``(suite, metric, in words)``: the errors that stand for it; the first is told below every figure.
    """

    title: str
    how: str
    told: Sequence[tuple[str, str, str]] = ()


MODELS: Mapping[str, Model] = {
    "congestion": Model(
        "Congestion",
        "Max-min fair sharing of links between jobs, all flows of a job at one rate, solved anew when a job ends.",
        (
            ("contention", "simgrid job p90_error_frac", "nine of ten job times are within {} of a fluid simulator"),
            ("contention", "simgrid job mean_error_frac", "{} of a job's time on average"),
            ("contention", "htsim_hpcc makespan mean_error_frac", "{} of the makespan in a packet simulator, HPCC"),
            ("contention", "htsim_roce makespan mean_error_frac", "{} of the makespan in a packet simulator, RoCE"),
        ),
    ),
    "collectives": Model(
        "Collectives",
        "NCCL's own tuning and selection on graphs found in the fabric, with measured efficiencies of links.",
        (
            ("sweeps", "uncalibrated median_error_frac", "half of published all-reduces are within {}, uncalibrated"),
            ("sweeps", "uncalibrated p90_error_frac", "nine of ten within {}"),
            ("sweeps", "calibrated p90_error_frac", "nine of ten within {} once fitted to logs of the same cluster"),
            ("nccl", "pick agreement_frac", "{} of NCCL's picks of algorithm and protocol are the same"),
            ("pairwise", "pair p90_error_frac", "nine of ten pairs of nodes within {}"),
        ),
    ),
    "train": Model(
        "Training step",
        "Rooflines of every product, communication that overlap leaves, and the fastest way to spread the model.",
        (
            ("train", "throughput median_error_frac", "half of published training runs are within {}"),
            ("train", "throughput p90_error_frac", "nine of ten within {}"),
            ("train", "domain ratio median_error_frac", "half of ratios between scale-up domains within {}"),
        ),
    ),
    "replay": Model(
        "Replay",
        "Every arrival, start and end of the trace, on counts of accelerators by host.",
        (("replay", "queues, max_error_frac", "mean completion times of published replays are met within {}"),),
    ),
    "bill": Model(
        "Bill",
        "Counts of the graph; lengths by a model of racks and rows; prices are planning estimates.",
        (("bill", "exact or explained counts agreement_frac", "{} of published counts are met or explained"),),
    ),
    "counts": Model("Counts", "Counted, not modelled: leaf switches and ring edges of the hosts that were chosen."),
}


@cache
def _measured() -> dict[str, dict[str, float]]:
    text = resources.files("reports").joinpath("model_errors.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = json.loads(text)["suites"]
    return found


def suites_behind() -> list[str]:
    """Return the suites that the models' errors come from."""
    return sorted({suite for model in MODELS.values() for suite, _, _ in model.told})


def model_errors(name: str) -> list[tuple[str, str]]:
    """Return what is known of a model's error, in words with the suite that says so; the first first."""
    told = []
    for suite, metric, words in MODELS[name].told:
        value = _measured()[suite][metric]
        told.append((words.format(_percent(value)), suite))
    return told


def _percent(frac: float) -> str:
    """Return a share in per cent, to two figures or as a bound."""
    if frac == 0 or frac == 1:
        return f"{frac:.0%}"
    percent = 100 * frac
    return "0.01 %" if percent < 0.01 else f"{percent:.2g} %"

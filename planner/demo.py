"""The batch of the demo: jobs drawn with a seed from those of a real cluster."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

import numpy as np

from planner.collectives.traffic import Demand
from planner.job import Job
from topologies.errors import InputError

__all__ = ["DESIGN", "REAL_FABRIC", "Batch", "draw_batch"]

REAL_FABRIC = "lingjun-2023"
DESIGN = "hgx-a100-847"

# Parameters by model name in the trace. Names that tell their size are taken at their word; for the others the size of
# a well-known model of that name is assumed: ResNet-50 (He et al. 2015), GPT-2 XL (Radford et al. 2019), LLaMA-7B
# (Touvron et al. 2023), a two-layer network for MNIST, and 10⁹ parameters for the embedding and ranking models.
_PARAMETERS = {
    "llama_30b": 30e9,
    "66b": 66e9,
    "65b": 65e9,
    "GPT-13b": 13e9,
    "GPT-13B": 13e9,
    "GPT-7b": 7e9,
    "GPT-3b": 3e9,
    "130b-infer": 130e9,
    "llama": 7e9,
    "gpt": 1.5e9,
    "GPT": 1.5e9,
    "ResNet": 25.6e6,
    "word_embedding": 1e9,
    "DLM": 1e9,
    "mnist": 1e6,
}
_HOST_ACCELERATORS = 8
_GRADIENT_BYTES = 2  # bf16 or fp16, one gradient a parameter


@dataclass(frozen=True)
class Batch:
    """Jobs to place, and where they come from.

    Attributes
    ----------
    jobs
        The batch.
    source
        The data they were drawn from.
    assumptions
        What does not stand in the data.
    """

    jobs: tuple[Job, ...]
    source: str
    assumptions: tuple[str, ...]


def draw_batch(num_accelerators: int, *, load: float, seed: int) -> Batch:
    """Draw jobs of known size, without replacement, until they ask for `load` times the accelerators.

    A job that would go past that is left out and the drawing goes on, so that the batch ends just below.

    Raises
    ------
    InputError
        If the load is not above 0.
    """
    if not 0 < load < float("inf"):
        raise InputError(what="a load is above 0", where="--load", found=load)
    text = (resources.files("topologies") / "catalog" / "lingjun" / "models_gpus.csv").read_text("utf-8")
    rows = [(row["model"], int(row["gpus"])) for row in csv.DictReader(text.splitlines()) if int(row["gpus"]) > 0]
    wanted, asked, jobs = load * num_accelerators, 0, []
    for i in np.random.default_rng(seed).permutation(len(rows)).tolist():
        model, accelerators = rows[i]
        if asked + accelerators > wanted:
            continue
        asked += accelerators
        demand = Demand(_PARAMETERS[model] * _GRADIENT_BYTES, "all-reduce", "hierarchical")
        is_small = accelerators <= _HOST_ACCELERATORS
        jobs.append(
            Job(
                id=f"{model}-{i}",
                accelerators=accelerators,
                accelerators_per_host=None if is_small else _HOST_ACCELERATORS,
                same_domain=is_small,
                traffic=demand if accelerators > 1 else None,
            )
        )
    return Batch(
        tuple(jobs),
        "jobs of Alibaba Lingjun, August 2023 (alibaba-lingjun-dataset-2023, Apache-2.0)",
        (
            "a job of up to 8 GPUs wants one host, a larger one whole hosts of 8",
            "every job all-reduces one 2-byte gradient a parameter each step over all its accelerators, two-level",
            "parameters by the model's name; where the name does not tell, those of a well-known model of that name",
        ),
    )

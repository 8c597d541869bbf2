"""What generations of accelerators sustain in training: one set of constants each, whatever the model or the cluster.

Peaks come from the parts catalogue. A generation says what part of them long matrix products, attention and
memory-bound kernels reach side by side under the power limit. Fitted once a generation, by least absolute relative
error, to the published runs of ``tests/validation/data/measured/train.csv``, and kept below what the catalogue's
`measured_*` rates allow; every row of a generation shares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from topologies.errors import InputError
from topologies.parts import Part

__all__ = ["GENERATIONS", "PRECISIONS", "Generation", "Precision", "generation_of", "peak_flops_per_s"]

Precision = Literal["bf16", "fp8", "mxfp8", "fp4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class Generation:
    """Constants of one generation.

    Attributes
    ----------
    name
        For people.
    gemm_frac
        Part of the dense peak that long matrix products sustain, by precision; what is missing cannot be computed.
    attention_frac
        Part of the bf16 peak that fused attention sustains, forward and backward together, by kernel: ``flash-1``
        (Dao et al. 2022), ``flash-2`` (Dao 2023), ``native`` (written for the generation: FlashAttention-3, cuDNN).
    memory_frac
        Part of the memory bandwidth that kernels between the matrix products sustain.
    kernel_s
        Time between two kernels of a layer that nothing hides.
    fp4_per_fp8
        Peak of fp4 as a multiple of fp8's.
    """

    name: str
    gemm_frac: Mapping[str, float]
    attention_frac: Mapping[str, float]
    memory_frac: float
    kernel_s: float
    fp4_per_fp8: float = 0.0


GENERATIONS: Mapping[str, Generation] = MappingProxyType(
    {
        g.name: g
        for g in (
            # Not fitted: no published run of the generation is in the data; taken from Ampere.
            Generation("volta", {"bf16": 0.80}, {"flash-1": 0.30, "flash-2": 0.30, "native": 0.30}, 0.76, 2.4e-6),
            Generation("ampere", {"bf16": 0.87}, {"flash-1": 0.32, "flash-2": 0.50, "native": 0.50}, 0.76, 2.4e-6),
            Generation(
                "hopper",
                {"bf16": 0.67, "fp8": 0.65, "mxfp8": 0.65},
                {"flash-1": 0.18, "flash-2": 0.25, "native": 0.38},
                0.92,
                5e-6,
            ),
            Generation(
                "blackwell",
                {"bf16": 0.64, "fp8": 0.575, "mxfp8": 0.595, "fp4": 0.36},
                {"flash-1": 0.09, "flash-2": 0.13, "native": 0.48},
                0.92,
                5e-6,
                fp4_per_fp8=2.0,
            ),
            Generation(
                "blackwell-ultra",
                {"bf16": 0.60, "fp8": 0.795, "mxfp8": 0.74, "fp4": 0.295},
                {"flash-1": 0.09, "flash-2": 0.13, "native": 0.54},
                0.92,
                5e-6,
                fp4_per_fp8=3.0,
            ),
            # Not fitted: processors that serve by themselves; STREAM reaches four fifths of the memory's line rate.
            Generation("cpu", {"bf16": 0.60}, {"flash-2": 0.30, "native": 0.30}, 0.80, 2e-6),
            # Fitted on fp8 alone; bf16 stays below what the catalogue's measured rates allow.
            Generation(
                "cdna3", {"bf16": 0.48, "fp8": 0.475, "mxfp8": 0.475}, {"flash-2": 0.25, "native": 0.30}, 0.92, 5e-6
            ),
            Generation(
                "cdna4",
                {"bf16": 0.60, "fp8": 0.655, "mxfp8": 0.60, "fp4": 0.40},
                {"flash-2": 0.25, "native": 0.30},
                0.92,
                5e-6,
                fp4_per_fp8=2.0,
            ),
        )
    }
)

# Compute capability of NVIDIA's parts (CUDA programming guide), and AMD's architecture by part.
_BY_CAPABILITY = MappingProxyType({7: "volta", 8: "ampere", 9: "hopper", 10: "blackwell", 12: "blackwell"})
_ULTRA_CAPABILITY = 10.3
_BY_ID = MappingProxyType(
    {
        "mi300": "cdna3",
        "mi325": "cdna3",
        "mi350": "cdna4",
        "mi355": "cdna4",
        "b300": "blackwell-ultra",
        "gb300": "blackwell-ultra",
        "epyc": "cpu",
        "xeon": "cpu",
    }
)


def generation_of(part: Part) -> Generation:
    """Return the generation of an accelerator.

    Raises
    ------
    InputError
        If no constants are known for it.
    """
    by_id = next((name for start, name in _BY_ID.items() if part.id.startswith(start)), None)
    capability = part.number("compute_capability", 0.0)
    name = by_id or ("blackwell-ultra" if capability == _ULTRA_CAPABILITY else _BY_CAPABILITY.get(int(capability)))
    if name is None:
        raise InputError(
            what="no step-time constants for this accelerator",
            where=part.id,
            allowed=f"accelerators of the generations {', '.join(GENERATIONS)}",
            fix="take an accelerator of one of these",
        )
    return GENERATIONS[name]


def peak_flops_per_s(part: Part, precision: str) -> float:
    """Return the dense peak of a precision.

    Raises
    ------
    InputError
        If the accelerator does not compute in it.
    """
    generation = generation_of(part)
    base = "bf16" if precision == "bf16" else "fp8"
    peak = part.number(f"{base}_flops_per_s", 0.0)
    if precision == "fp4":
        peak *= generation.fp4_per_fp8
    if not peak or precision not in generation.gemm_frac:
        raise InputError(
            what="this accelerator does not compute in this precision",
            where=part.id,
            found=precision,
            allowed=", ".join(generation.gemm_frac),
        )
    return peak

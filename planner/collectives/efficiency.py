"""How much of a link's line rate collectives get, and how latency grows: defaults with their source, or calibrated.

The figures have a physical meaning each, so that a fit can be read and refused: see the attributes of `Efficiency`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from topologies.fabric import Fabric, NodeKind

__all__ = [
    "LARGE_BYTES",
    "NETWORK_LATENCY_FACTORS",
    "UNCALIBRATED",
    "Efficiency",
    "SizeCorrection",
    "default_efficiency",
    "network_of",
    "size_correction",
    "time_band_s",
]

# From here on bandwidth decides, and uncalibrated figures are judged (docs/validation.md); below it, latency does, and
# differs by more between machines: 173 + 138 published all-reduces lie within factors of 2.7 and 2.9.
LARGE_BYTES: Final = 16 * 2**20

# A size correction holds for groups of up to this many times more or fewer units than it was measured on.
_CORRECTION_REACH = 1.5


@dataclass(frozen=True, slots=True)
class SizeCorrection:
    """What the physical figures leave unexplained, by size: a factor on the time, as NCCL itself corrects its trees.

    Attributes
    ----------
    collective, num_units
        What was measured, over how many units.
    size_bytes, factor
        Knots, sizes rising; between them the logarithm is interpolated, beyond them the end holds.
    """

    collective: Collective
    num_units: int
    size_bytes: tuple[float, ...]
    factor: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What a fabric's links give to collectives.

    Attributes
    ----------
    network_frac
        Part of the NIC line rate that payload gets in bandwidth-bound collectives over two units or more.
    network_loss_frac
        What is lost of that with every doubling of the number of units beyond two.
    scale_up_frac
        What rings and trees in one unit get, as a part of the rate NCCL counts (about 0.8 of the line rate).
    in_switch_frac
        Part of the scale-up line rate that reduction in the scale-up switch gets; ``None`` to take the generation's.
    tree_frac
        Part of what their NICs could carry that trees between units get.
    ll128_frac
        What the LL128 protocol gets between units of the rate NCCL gives it.
    exchange_frac
        Part of the line rate that an all-to-all gets.
    pair_frac
        Part of the NIC line rate that one pair of ranks gets for itself.
    latency_factor
        Multiplies NCCL's own latencies between units: 1 is the InfiniBand they were measured on.
    tree_latency_factor
        Multiplies those of trees once more.
    scale_up_latency_factor
        Multiplies NCCL's own latencies in one unit.
    fill_factor
        Multiplies the time that pipelines take to fill.
    corrections
        What is left unexplained, by size and number of units.
    error_frac
        Nine of ten predictions for `LARGE_BYTES` and more are off by no more than this part of the measured time.
    small_error_factor
        Nine of ten times of smaller messages lie within this factor of the predicted ones.
    source
        Where the figures come from.
    """

    network_frac: float
    network_loss_frac: float = 0.0
    scale_up_frac: float = 1.0
    in_switch_frac: float | None = None
    tree_frac: float = 0.5
    ll128_frac: float = 1.0
    exchange_frac: float = 0.92
    pair_frac: float = 0.84
    latency_factor: float = 1.0
    tree_latency_factor: float = 1.0
    scale_up_latency_factor: float = 1.0
    fill_factor: float = 1.0
    corrections: tuple[SizeCorrection, ...] = ()
    error_frac: float = 0.3
    small_error_factor: float = 3.0
    source: str = ""


# How much longer collectives of a few KiB between units take than NCCL's own latencies say: medians of published
# nccl-tests runs (tests/validation/data/measured/sweeps.csv). Ethernet: OCI RoCE v2, 2 × 8 A100, 1.5. EFA: AWS p5, 2
# × 8 H100, 2.9. Slingshot: Polaris, 2 to 128 × 4 A100, all-gathers, 3.3. TCPXO: GCP a3-mega, 2 × 8 H100, 3.7.
NETWORK_LATENCY_FACTORS: Final = MappingProxyType(
    {"InfiniBand": 1.0, "Ethernet": 1.5, "EFA": 2.9, "Slingshot": 3.3, "TCPXO": 3.7}
)

# The level: the all-reduce peaks of nine clusters of three units or more, one figure a cluster, have a median of 0.92
# of the NIC line rate (0.80 to 0.98), which 0.93 at two units gives at four. The fall: rings and in-switch trees of
# the three sources with four node counts or more lose 3.6 % (8 × B200), 0.7 % (4 × GH200) and nothing (8 × H100) a
# doubling; the middle one, rounded. Trees: 8 × B200 on 2 to 46 units reach half of what their NICs could carry.
# Files: tests/validation/data/measured.
UNCALIBRATED: Final = Efficiency(
    network_frac=0.93,
    network_loss_frac=0.01,
    source="uncalibrated: payload gets 0.93 of the NIC line rate, 1 % less with every doubling of the units (median of "
    "nine published clusters; they spread from 0.80 to 0.98); latencies are NCCL's own, times a factor by network",
)


def network_of(fabric: Fabric) -> str | None:
    """Return the kind of network by the NICs' parts, a key of `NETWORK_LATENCY_FACTORS`; ``None`` if none says."""
    first = fabric.num_accelerators
    for part in sorted(set(fabric.node_part[fabric.node_kind == NodeKind.NIC].tolist())) if fabric.num_nics else ():
        if part < 0:
            continue
        nic = fabric.parts[part]
        words = f"{nic.id} {nic.description} {nic.values.get('fabric', '')}".lower()
        for kind in ("EFA", "Slingshot", "TCPXO", "InfiniBand", "Ethernet"):
            if kind.lower() in words:
                return kind
    leaf = fabric.nic_leaf[fabric.nic_leaf >= first] if fabric.num_nics else ()
    for part in sorted(set(fabric.node_part[leaf].tolist())) if len(leaf) else ():
        kind = str(fabric.parts[part].values.get("fabric", "")) if part >= 0 else ""
        if kind in NETWORK_LATENCY_FACTORS:
            return kind
    return None


def default_efficiency(fabric: Fabric) -> Efficiency:
    """Return the uncalibrated efficiency of a fabric, with the latency factor of its kind of network."""
    kind = network_of(fabric)
    return replace(UNCALIBRATED, latency_factor=NETWORK_LATENCY_FACTORS[kind]) if kind else UNCALIBRATED


def time_band_s(
    efficiency: Efficiency, size_bytes: npt.NDArray[np.float64], time_s: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shortest and longest times that nine of ten measured ones lie between.

    Parameters
    ----------
    efficiency
        Whose band.
    size_bytes
        ``(S,)``.
    time_s
        ``(…, S)`` predicted.
    """
    off = min(efficiency.error_frac, 0.9)
    is_large = size_bytes >= LARGE_BYTES
    low = np.where(is_large, 1 + efficiency.error_frac, efficiency.small_error_factor)
    high = np.where(is_large, 1 / (1 - off), efficiency.small_error_factor)
    return time_s / low, time_s * high


def size_correction(
    efficiency: Efficiency, collective: Collective, num_units: int, size_bytes: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the factor on the time that the nearest `SizeCorrection` gives, ``(S,)``; 1 where none reaches.

    Parameters
    ----------
    efficiency
        Whose corrections.
    collective, num_units
        What runs over how many units.
    size_bytes
        ``(S,)``.
    """
    sizes = np.asarray(size_bytes, dtype=np.float64)
    near = [
        (abs(math.log(c.num_units / num_units)), c)
        for c in efficiency.corrections
        if c.collective == collective and (c.num_units > 1) == (num_units > 1)
    ]
    distance, nearest = min(near, key=lambda pair: pair[0], default=(math.inf, None))
    if nearest is None or distance > math.log(_CORRECTION_REACH):
        return np.ones_like(sizes)
    factor: npt.NDArray[np.float64] = np.exp(
        np.interp(np.log(sizes), np.log(nearest.size_bytes), np.log(nearest.factor))
    )
    return factor

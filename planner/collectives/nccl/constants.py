"""The numbers of NCCL 2.30's tuning model, each table with its place in NCCL's source.

NCCL keeps microseconds and 10⁹ bytes a second; the tables here hold the same figures under those units' names, and
`planner.collectives.nccl.tuning` converts them once.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "ALGORITHM_NAMES",
    "BASE_LATENCY_US",
    "COLLNET_ARITY_LATENCY_US",
    "LINK_LATENCY_US",
    "LL_MAX_GB_PER_S",
    "NETWORK_LATENCY_US",
    "NET_OVERHEAD_US",
    "NVLS_EFFICIENCY_FRAC",
    "NVLS_TREE_MAX_GB_PER_S",
    "PROTOCOL_NAMES",
    "RING_LL128_CHANNEL_GB_PER_S",
    "SIMPLE_NET_OVERHEAD_FACTOR",
    "TREE_CHANNEL_GB_PER_S",
    "TREE_LL128_CHANNEL_GB_PER_S",
    "TREE_SIZE_CORRECTION_FRAC",
    "Algorithm",
    "Architecture",
    "Cpu",
    "PathType",
    "Pattern",
    "Protocol",
]

_Floats = npt.NDArray[np.float64]


class Algorithm(IntEnum):
    """NCCL's algorithms in its own order, which breaks ties (nccl.h, ``NCCL_ALGO_*``)."""

    TREE = 0
    RING = 1
    COLLNET_DIRECT = 2
    COLLNET_CHAIN = 3
    NVLS = 4
    NVLS_TREE = 5
    PAT = 6


class Protocol(IntEnum):
    """NCCL's protocols in its own order (``NCCL_PROTO_*``)."""

    LL = 0
    LL128 = 1
    SIMPLE = 2


class Architecture(IntEnum):
    """Generation of the accelerator, the row of the tables below (``NCCL_*_COMPCAP_IDX``)."""

    VOLTA = 0
    AMPERE = 1
    HOPPER = 2
    BLACKWELL = 3


class Cpu(IntEnum):
    """Host processor, as far as NCCL tells them apart."""

    INTEL = 0
    AMD = 1
    ARM = 2
    MIXED = 3


class PathType(IntEnum):
    """What a path crosses, the nearest first (topo.h, ``PATH_*``)."""

    LOC = 0
    NVL = 1
    NVB = 2
    C2C = 3
    PIX = 4
    PXB = 5
    P2C = 6
    PXN = 7
    PHB = 8
    SYS = 9
    NET = 10
    DIS = 11


class Pattern(IntEnum):
    """Shape of a channel graph (topo.h, ``NCCL_TOPO_PATTERN_*``)."""

    BALANCED_TREE = 1
    SPLIT_TREE = 2
    TREE = 3
    RING = 4
    NVLS = 5
    COLLNET_DIRECT = 6


ALGORITHM_NAMES: Final = ("Tree", "Ring", "CollNetDirect", "CollNetChain", "NVLS", "NVLSTree", "PAT")
PROTOCOL_NAMES: Final = ("LL", "LL128", "Simple")


def _table(*rows: tuple[float, ...]) -> _Floats:
    array = np.array(rows, dtype=np.float64)
    array.setflags(write=False)
    return array


# tuning.cc, ncclTunerConstantsDefaults.baseLatencies; rows by Algorithm, columns by Protocol.
BASE_LATENCY_US: Final = _table(
    (6.8, 14.0, 8.4), (6.6, 14.0, 8.4), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (8.0, 8.0, 8.0)
)

# tuning.cc, hwLatencies of NVLink (row 0) and PCIe (row 1) between accelerators of a node.
LINK_LATENCY_US: Final = np.stack(
    [
        _table((0.6, 1.25, 4.0), (0.6, 1.9, 3.4), (0, 0, 3.7), (0, 0, 2.8), (0, 0, 25), (0, 0, 25), (0, 0, 4.0)),
        _table((1.0, 1.9, 4.0), (1.0, 2.5, 5.7), (0, 0, 3.7), (0, 0, 2.8), (0, 0, 0), (0, 0, 0), (0, 0, 4.0)),
    ]
)
LINK_LATENCY_US.setflags(write=False)

# tuning.cc, hwLatencies of the network.
NETWORK_LATENCY_US: Final = _table(
    (5.0, 8.5, 14), (2.7, 4.0, 14), (0, 0, 31), (0, 0, 30), (0, 0, 18), (0, 0, 20.9), (0, 0, 14)
)

# tuning.cc, llMaxBws: columns 1, 2 and 3 or more nodes. One node goes by the accelerator, more by the host processor:
# Intel and ARM take the first row, AMD and mixed the second.
LL_MAX_GB_PER_S: Final = _table((39.0, 39.0, 20.4), (87.7, 22.5, 19.0), (141.0, 45.0, 35.0), (282.0, 90.0, 70.0))

# tuning.cc, perChMaxRingLL128Bws, perChMaxTreeLL128Bws, perChMaxTreeBws: a channel's most, rows by Architecture.
RING_LL128_CHANNEL_GB_PER_S: Final = _table((20, 20, 20), (20, 20, 20), (36.7, 36.7, 36.7), (40, 40, 40))
TREE_LL128_CHANNEL_GB_PER_S: Final = _table((20, 20, 20), (20, 20, 20), (36.7, 36.7, 29), (55.6, 31.67, 20))
TREE_CHANNEL_GB_PER_S: Final = _table((26.5, 18.5, 10), (24, 23.6, 17.8), (38.7, 41.4, 36), (70, 42.8, 24))

# tuning.cc, perChMaxNVLSTreeBws and nvlsEfficiency.
NVLS_TREE_MAX_GB_PER_S: Final = _table((26.5, 18.5, 10), (24, 23.6, 17.8), (0, 57.7, 45.5), (0, 96, 80))
NVLS_EFFICIENCY_FRAC: Final = _table((0.0, 0.0, 0.85, 0.74))[0]

# tuning.cc, getNetOverhead: what posting to the network costs a ring step, by Cpu; thrice that for Simple.
NET_OVERHEAD_US: Final = _table((1.0, 2.0, 1.0, 1.0))[0]
SIMPLE_NET_OVERHEAD_FACTOR: Final = 3.0

# tuning.cc, CollNetDirect: serialisation of the fan-out, a peer.
COLLNET_ARITY_LATENCY_US: Final = 0.4

# tuning.cc, treeCorrectionFactor: rows by Protocol, column ⌊log₂(bytes / 64)⌋.
TREE_SIZE_CORRECTION_FRAC: Final = _table(
    (1, 1, 1, 1, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1, 1, 1),
    (1, 1, 1, 1, 1, 0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9, 1, 1, 1),
    (*[0.9] * 7, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9),
)

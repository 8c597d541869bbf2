"""How NCCL counts the rates of links: what it takes of an NVLink, of a PCIe path and of a NIC, and the search speeds.

Source of all figures: NCCL 2.30, ``src/graph/topo.h`` (``SM*_NVLINK_BW``), ``src/graph/topo.cc`` (PCIe classes) and
``src/graph/search.cc`` (speed lists), in 10⁹ bytes a second.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from planner.collectives.nccl.constants import Architecture, Cpu
from topologies.fabric import Fabric
from topologies.units import from_gb_per_s, to_gb_per_s

__all__ = [
    "INTER_SPEEDS_GB_PER_S",
    "INTRA_SPEEDS_GB_PER_S",
    "accelerator_architecture",
    "counted_nvlink_bytes_per_s",
    "counted_pcie_bytes_per_s",
    "host_cpu",
]

# A link's rate as the vendor states it (one direction), and what NCCL counts of it.
_NVLINK_RAW_GB_PER_S = MappingProxyType(
    {Architecture.VOLTA: 25.0, Architecture.AMPERE: 25.0, Architecture.HOPPER: 25.0, Architecture.BLACKWELL: 50.0}
)
_NVLINK_COUNTED_GB_PER_S = MappingProxyType(
    {Architecture.VOLTA: 20.0, Architecture.AMPERE: 20.0, Architecture.HOPPER: 20.6, Architecture.BLACKWELL: 40.1}
)

# Sixteen lanes of PCIe 3 to 6: raw rate, of which NCCL counts three quarters.
_PCIE_RAW_GB_PER_S = (16.0, 32.0, 64.0, 128.0)
_PCIE_COUNTED_FRAC = 0.75

INTRA_SPEEDS_GB_PER_S: Final = MappingProxyType(
    {
        Architecture.VOLTA: (40.0, 30.0, 20.0, 18.0, 15.0, 12.0, 10.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0),
        Architecture.AMPERE: (40.0, 30.0, 20.0, 18.0, 15.0, 12.0, 10.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0),
        Architecture.HOPPER: (60.0, 50.0, 40.0, 30.0, 24.0, 20.0, 15.0, 12.0, 11.0, 6.0, 3.0),
        Architecture.BLACKWELL: (90.0, 80.0, 70.0, 60.0, 50.0, 45.0, 40.0, 30.0, 24.0, 20.0, 19.0, 18.0),
    }
)
_TO_SLOWEST = (2.4, 1.2, 0.24, 0.12)
_FROM_42_ON = (42.0, 40.0, 30.0, 24.0, 22.0, 20.0, 17.5, 15.0, 12.0, 6.0, 3.0, *_TO_SLOWEST)
_BEFORE_HOPPER = (48.0, 30.0, 28.0, 24.0, 20.0, 18.0, 15.0, 12.0, 10.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0, *_TO_SLOWEST)
INTER_SPEEDS_GB_PER_S: Final = MappingProxyType(
    {
        Architecture.VOLTA: _BEFORE_HOPPER,
        Architecture.AMPERE: _BEFORE_HOPPER,
        Architecture.HOPPER: (48.0, 45.0, *_FROM_42_ON),
        Architecture.BLACKWELL: (96.0, 86.0, 80.0, 48.0, 45.1, *_FROM_42_ON),
    }
)

# First major compute capability of each generation (CUDA C++ Programming Guide, "Compute Capabilities").
_FIRST_CAPABILITY = ((10.0, Architecture.BLACKWELL), (9.0, Architecture.HOPPER), (8.0, Architecture.AMPERE))
# Without a compute capability the scale-up rate of one accelerator decides: 300, 450 and 900 GB/s a direction are the
# three NVLink generations of A100, H100 and B200.
_FIRST_SCALE_UP_GB_PER_S = ((451.0, Architecture.BLACKWELL), (301.0, Architecture.HOPPER), (151.0, Architecture.AMPERE))
_CPU_WORDS = MappingProxyType(
    {"intel": Cpu.INTEL, "amd": Cpu.AMD, "arm": Cpu.ARM, "grace": Cpu.ARM, "mixed": Cpu.MIXED}
)


def accelerator_architecture(fabric: Fabric, accelerator: int) -> tuple[Architecture, bool]:
    """Return the generation NCCL would see, and whether the part says it; else the scale-up rate decides."""
    part = int(fabric.node_part[accelerator])
    if part >= 0:
        capability = fabric.parts[part].number("compute_capability", 0.0)
        if capability:
            return next((arch for first, arch in _FIRST_CAPABILITY if capability >= first), Architecture.VOLTA), True
    rate = to_gb_per_s(float(fabric.accelerator_scale_up_bytes_per_s[accelerator]))
    return next((arch for first, arch in _FIRST_SCALE_UP_GB_PER_S if rate >= first), Architecture.VOLTA), False


def host_cpu(fabric: Fabric, accelerator: int) -> tuple[Cpu, bool]:
    """Return the host processor, and whether the accelerator's part says it (else Intel is assumed)."""
    part = int(fabric.node_part[accelerator])
    word = str(fabric.parts[part].values.get("host_cpu", "")).lower() if part >= 0 else ""
    return (_CPU_WORDS[word], True) if word in _CPU_WORDS else (Cpu.INTEL, False)


def counted_nvlink_bytes_per_s(rate_bytes_per_s: float, architecture: Architecture) -> float:
    """Return what NCCL counts of a scale-up rate: whole links, each at its own figure."""
    links = round(to_gb_per_s(rate_bytes_per_s) / _NVLINK_RAW_GB_PER_S[architecture], 6)
    return from_gb_per_s(links * _NVLINK_COUNTED_GB_PER_S[architecture])


def counted_pcie_bytes_per_s(rate_bytes_per_s: float) -> float:
    """Return what NCCL counts of a host link: three quarters of the slowest sixteen-lane PCIe that can carry it.

    A link faster than any PCIe (a chip-to-chip link) counts whole.
    """
    rate = to_gb_per_s(rate_bytes_per_s)
    raw = next((raw for raw in _PCIE_RAW_GB_PER_S if rate <= raw), None)
    return rate_bytes_per_s if raw is None else from_gb_per_s(raw * _PCIE_COUNTED_FRAC)

"""What NCCL's XML and ``nvidia-smi topo -m`` have in common: which NIC is near which accelerator, and NVLink rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from topologies.formats.hosts import accelerator_part
from topologies.formats.inside import HostInside
from topologies.formats.registry import Imported, ReadOptions
from topologies.formats.source import Source
from topologies.formats.wiring import Wiring
from topologies.units import from_gb_per_s, from_gbps, to_gb_per_s

__all__ = ["ASSUMED_NIC_GBPS", "MOST_NVLINKS", "nearest_nics", "nvlink_rate", "one_host"]

ASSUMED_NIC_GBPS = 400.0
"""Rate of a NIC that no file tells, 10⁹ bit/s. Source: NVIDIA DGX SuperPOD H100 reference architecture RA-11333-001."""

MOST_NVLINKS = 18
"""Most NVLinks of one GPU, of H100 to B300. Source: NVIDIA H100 and Blackwell architecture white papers."""

NVLINK_GB_PER_S = 25.0
"""Rate of one NVLink of V100, A100 and H100, one direction, 10⁹ B/s (50 both ways). Source: NVIDIA V100, A100 and H100
architecture white papers: 6, 12 and 18 links of 300, 600 and 900 GB/s both ways."""

NVLINK_5_GB_PER_S = 50.0
"""The same of Blackwell: 18 links of 1,800 GB/s both ways. Source: NVIDIA Blackwell architecture technical brief."""

_BLACKWELL_SM = 100


def nvlink_rate(options: ReadOptions, *, links: int, sm: int | None, guesses: list[str]) -> float:
    """Return the rate of one NVLink in bytes/s, one direction: by the part if one is told, else guessed, and told.

    Parameters
    ----------
    links
        Links of one accelerator.
    sm
        Compute capability times ten, if known.
    """
    part = accelerator_part(options)
    whole = part.number("scale_up_bytes_per_s", 0.0) if part else 0.0
    if part is not None and whole and links:
        guesses.append(f"{to_gb_per_s(whole):g} GB/s of NVLink an accelerator, by part {part.id}")
        return whole / links
    gb_per_s = NVLINK_5_GB_PER_S if sm is not None and sm >= _BLACKWELL_SM else NVLINK_GB_PER_S
    of = "" if sm is None else f" of compute capability {sm // 10}.{sm % 10}"
    guesses.append(f"an NVLink{of} has {gb_per_s:g} GB/s a direction")
    return from_gb_per_s(gb_per_s)


def nearest_nics(
    num_accelerators: int, num_nics: int, distance: Callable[[int, int], int]
) -> list[tuple[int, int, float]]:
    """Return the nearest NIC of each accelerator, those as near dealt evenly; the rates, not told, are 0."""
    load = [0] * num_nics
    found = []
    for accelerator in range(num_accelerators if num_nics else 0):
        far = [distance(accelerator, nic) for nic in range(num_nics)]
        best = min(range(num_nics), key=lambda nic: (far[nic], load[nic], nic))
        load[best] += 1
        found.append((accelerator, best, 0.0))
    return found


def one_host(inside: HostInside, sources: Sequence[Source], options: ReadOptions, format: str) -> Imported:
    """Return a host alone as a fabric, its NICs on one switch that stands for the network."""
    source = sources[0]
    used = sorted({nic for _, nic, _ in inside.nearest})
    wiring = Wiring(source.stem, format, source.name, description=f"One host, from {source.name}.")
    if len(used) < len(inside.nics):
        without = [inside.nics[i] for i in range(len(inside.nics)) if i not in used]
        wiring.left_out.append(f"NICs that are the nearest of no accelerator: {', '.join(without)}")
    if not used:
        raise source.error(
            None, what="a host without NICs is no fabric by itself", fix="give the file of the network too"
        )
    wiring.switch("network")
    host = options.name or source.stem
    for i in used:
        rate = inside.nic_bytes_per_s[i] or from_gbps(options.nic_gbps or ASSUMED_NIC_GBPS)
        is_guessed = not inside.nic_bytes_per_s[i]
        wiring.cable(wiring.nic(host, inside.nics[i]), "", "network", "", rate, is_guessed=is_guessed)
    if not all(inside.nic_bytes_per_s[i] for i in used):
        wiring.guesses.append(f"NICs have {options.nic_gbps or ASSUMED_NIC_GBPS:g} Gb/s")
    wiring.guesses.append("all NICs are on one switch, which stands for the network")
    return wiring.build(replace(options, inside=inside, hosts=""))

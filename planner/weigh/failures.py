"""What failures leave of a job's time: how often it stops, what goes down with what fails, spares, checkpoints.

Three kinds of unit fail: a *tray* (an accelerator or what it shares a host with), a *rack* (its power, cooling or
scale-up switches) and a *leaf* switch with the hosts on it. A failure stops the whole job: it loses half a checkpoint's
distance and a restart. What is down then:

- after a tray, the tray, if the scale-up domain holds a tray more than the job uses, or is a tray itself; else the
  whole domain, as the rest of it cannot carry the same mapping;
- after a rack, the rack; after a leaf, every host with a NIC on it that has no other way.

Spares cover what is in repair after trays on average and three standard deviations more. Where they are fewer than what
one failure takes down, the job waits for the repair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.weigh.cluster import Cluster
from planner.weigh.study_file import Assumptions

__all__ = ["Blast", "Reliability", "reliability_of"]

_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class Blast:
    """One kind of failure.

    Attributes
    ----------
    unit
        ``tray``, ``rack`` or ``leaf``.
    accelerators
        What one such failure takes down.
    mtbf_h
        Between failures of this kind among all that the job uses.
    wait_h
        How long the job stands still for it, beside the restart.
    """

    unit: str
    accelerators: int
    mtbf_h: float
    wait_h: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """What failures leave.

    Attributes
    ----------
    mtbf_h
        Between failures of the whole job.
    checkpoint_every_s
        The best distance between checkpoints (Young 1974, Daly 2006).
    goodput_frac
        Part of the time that makes progress that is kept.
    spares
        Accelerators that must stand by so that repairs of trays are not waited for.
    blasts
        What fails, and what it takes down.
    """

    mtbf_h: float
    checkpoint_every_s: float
    goodput_frac: float
    spares: int
    blasts: tuple[Blast, ...] = ()


def reliability_of(
    cluster: Cluster,
    num_accelerators: int,
    assumptions: Assumptions,
    *,
    domain: int,
    used: int,
    standing_by: int | None = None,
    tray: int | None = None,
) -> Reliability:
    """Return what failures leave of a job that holds `num_accelerators`.

    Parameters
    ----------
    cluster
        Where it runs: what a host, a rack and a leaf hold.
    num_accelerators
        What the job uses.
    assumptions
        MTBF, repairs, restart and checkpoint.
    domain, used
        Accelerators of a scale-up domain, and how many of them the job uses.
    standing_by
        Spares that there are; as many as are wanted if ``None``.
    tray
        Accelerators that go down together, where the design states it; else those of a host.
    """
    a_tray = tray or cluster.accelerators_a_host
    a_tray = min(a_tray, domain) if tray is None else a_tray
    blast, out, lot = _tray_blast(num_accelerators, assumptions, domain=domain, used=used, tray=a_tray)
    spares = math.ceil(out + _DEVIATIONS * math.sqrt(out)) * lot
    there = spares if standing_by is None else standing_by
    racks = num_accelerators / cluster.accelerators_a_rack
    leaves = cluster.leaves * num_accelerators / cluster.accelerators
    kinds = [("tray", blast, assumptions.accelerator_mtbf_h / num_accelerators, assumptions.repair_h)]
    if racks > 0 and cluster.accelerators_a_rack > a_tray:
        kinds.append(("rack", cluster.accelerators_a_rack, assumptions.rack_mtbf_h / racks, assumptions.rack_repair_h))
    if leaves > 0 and cluster.accelerators_a_leaf:
        kinds.append(("leaf", cluster.accelerators_a_leaf, assumptions.leaf_mtbf_h / leaves, assumptions.leaf_repair_h))
    blasts = tuple(
        Blast(unit, min(size, num_accelerators), mtbf_h, repair_h if there < min(size, num_accelerators) else 0.0)
        for unit, size, mtbf_h, repair_h in kinds
    )
    mtbf_s = 3600 / sum(1 / blast.mtbf_h for blast in blasts)
    every = math.sqrt(2 * assumptions.checkpoint_s * mtbf_s)
    lost = assumptions.checkpoint_s / every + every / (2 * mtbf_s) + assumptions.restart_s / mtbf_s
    lost += sum(blast.wait_h / blast.mtbf_h for blast in blasts)
    return Reliability(mtbf_s / 3600, every, 1 / (1 + lost), spares, blasts)


def _tray_blast(
    num_accelerators: int, assumptions: Assumptions, *, domain: int, used: int, tray: int
) -> tuple[int, float, int]:
    """Return what a tray's failure takes down, how many lots are in repair on average, and accelerators of a lot."""
    per_h = 1 / assumptions.accelerator_mtbf_h
    in_repair = num_accelerators * per_h * assumptions.repair_h
    if domain <= tray:
        return tray, in_repair, tray
    spare_trays = (domain - used) // tray
    if spare_trays < 1:
        return domain, in_repair, domain
    # The domain is lost only when more trays are in repair than it has to spare (Poisson).
    mean = domain * per_h * assumptions.repair_h
    kept = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(spare_trays + 1))
    return tray, num_accelerators / used * max(0.0, 1 - kept), domain

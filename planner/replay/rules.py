"""How a cluster is run: queue order, who may use what when, what fails, and what a start and a stop cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from planner.replay.queues import ORDERS, check_backfill
from planner.replay.serving_pools import ServingPool
from topologies.errors import InputError

__all__ = ["Isolation", "Outage", "Reservation", "Rules", "Spread"]

Isolation = Literal["none", "host", "leaf"]
Spread = Literal["any", "pod", "leaf"]


@dataclass(frozen=True, slots=True)
class Outage:
    """A host that takes no work for a while.

    Attributes
    ----------
    host
        Number in the pool.
    start_s, end_s
        From when to when.
    is_drain
        True: what runs there may finish, but nothing new starts. False: a failure, what runs there is lost up to its
        last checkpoint and waits again.
    """

    host: int
    start_s: float
    end_s: float
    is_drain: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """Hosts kept for one tenant for a while.

    Others start there only what is expected to end before, or nothing while it lasts.

    Attributes
    ----------
    tenant
        Whom they are kept for.
    hosts
        Numbers in the pool.
    start_s, end_s
        From when to when.
    """

    tenant: str
    hosts: tuple[int, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Rules:
    """How a cluster is run.

    Attributes
    ----------
    order
        ``fifo``, ``sjf`` or ``priority``.
    backfill
        ``none``: the head of the line blocks all behind it. ``any``: whoever fits starts. ``easy``: whoever does not
        delay the head. ``conservative``: whoever delays nobody before it, as far as counts of accelerators tell.
    backfill_depth
        How many jobs behind the head are looked at.
    quotas
        Tenant → accelerators that it may hold at once.
    isolation
        ``host`` or ``leaf``: tenants never share one.
    spread
        ``leaf`` or ``pod``: a gang that could fit under one leaf group (or pod) of the empty cluster starts nowhere
        else.
    reservations
        Hosts kept for tenants.
    can_preempt
        A job of higher priority may stop jobs of lower priority if it fits then; they wait again.
    checkpoint_every_s, restart_s
        A stopped or failed job loses what it did since its last checkpoint (0: nothing is lost), and starts again after
        so much time.
    launch_s
        From when a job has everything to when it works.
    never_launch_frac, launch_timeout_s
        So many of the jobs do not come up when they first get their accelerators: they hold them until the time is up,
        and wait again.
    gang_hold_s
        0: a gang starts at once or not at all. Else it takes what it can get, and gives it back if it is not complete
        after so long; then it waits as long before it tries again.
    outages
        Failures and drains.
    pools
        Serving pools that grow and shrink with what is asked of them.
    batch_every_s
        A scheduler that places batches is asked so often; 0: whenever anything changes.
    defrag_every_s, move_s
        So often jobs are moved together if that makes room for the first that waits (0: never); a move costs the job
        so much time.
    seed
        Of schedulers that draw, and of what does not launch.
    """

    order: str = "fifo"
    backfill: str = "none"
    backfill_depth: int = 100
    quotas: Mapping[str, float] = field(default_factory=dict)
    isolation: Isolation = "none"
    spread: Spread = "any"
    reservations: tuple[Reservation, ...] = ()
    can_preempt: bool = False
    checkpoint_every_s: float = 0.0
    restart_s: float = 0.0
    launch_s: float = 0.0
    never_launch_frac: float = 0.0
    launch_timeout_s: float = 600.0
    gang_hold_s: float = 0.0
    outages: tuple[Outage, ...] = ()
    pools: tuple[ServingPool, ...] = ()
    batch_every_s: float = 0.0
    defrag_every_s: float = 0.0
    move_s: float = 60.0
    seed: int = 1

    def told(self) -> dict[str, str]:
        """Return what is not as usual, in words."""
        drains = sum(outage.is_drain for outage in self.outages)
        words = {
            "quotas": ", ".join(f"{tenant} {most:g}" for tenant, most in self.quotas.items()),
            "preemption": "by priority" if self.can_preempt else "",
            "checkpoints": f"every {self.checkpoint_every_s:g} s" if self.checkpoint_every_s else "",
            "tenants apart": f"by {self.isolation}" if self.isolation != "none" else "",
            "gangs": f"within a {self.spread}" if self.spread != "any" else "",
            "held gangs": f"for {self.gang_hold_s:g} s" if self.gang_hold_s else "",
            "launch": f"{self.launch_s:g} s" if self.launch_s else "",
            "never launched": f"{self.never_launch_frac:.1%} the first time" if self.never_launch_frac else "",
            "reservations": f"{len(self.reservations):,}" if self.reservations else "",
            "failures": f"{len(self.outages) - drains:,} of hosts" if len(self.outages) > drains else "",
            "drains": f"{drains:,} of hosts" if drains else "",
            "serving pools": ", ".join(pool.name for pool in self.pools),
            "batches": f"every {self.batch_every_s:g} s" if self.batch_every_s else "",
            "defrag": f"every {self.defrag_every_s:g} s" if self.defrag_every_s else "",
        }
        return {name: text for name, text in words.items() if text}

    def __post_init__(self) -> None:
        check_backfill(self.backfill)
        for name, value, known in (
            ("order", self.order, ORDERS),
            ("isolation", self.isolation, get_args(Isolation)),
            ("spread", self.spread, get_args(Spread)),
        ):
            if value not in known:
                what = "no such queue order" if name == "order" else f"no such {name}"
                raise InputError(what=what, where=f"--{name}", found=repr(value), allowed=", ".join(known))
        for name in ("checkpoint_every_s", "restart_s", "backfill_depth", "launch_s", "launch_timeout_s",
                     "gang_hold_s", "batch_every_s", "defrag_every_s", "move_s"):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(what=f"{name} must not be negative", where="rules", found=getattr(self, name))
        if not 0 <= self.never_launch_frac < 1:
            raise InputError(what="a part of all jobs", where="never_launch_frac", found=self.never_launch_frac,
                             allowed="0 to below 1")  # fmt: skip
        for reservation in self.reservations:
            if not reservation.start_s < reservation.end_s:
                raise InputError(what="a reservation ends after it starts", where=reservation.tenant,
                                 found=f"{reservation.start_s:g} to {reservation.end_s:g}")  # fmt: skip

"""Rules files: how a cluster is run in a replay, ``schema_version: 1``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from planner.replay.outages import PARTS, Reliability, draw_part_outages, rolling_drains
from planner.replay.rules import Outage, Reservation, Rules
from planner.replay.serving_pools import ServingPool, demand_of
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.document import Document
from topologies.files.loading import load_document
from topologies.files.name_ranges import expand_names
from topologies.files.validated import RuleError, StrictModel, validate

__all__ = ["RulesFile", "load_rules"]

_HOUR_S = 3600.0
_Made = TypeVar("_Made")
_Steps = tuple[tuple[float, float], ...]
_NotNegative = Annotated[float, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]
_PartName = Literal["accelerator", "host", "nic", "link", "leaf"]
_Pair = Annotated[list[_NotNegative], Field(min_length=2, max_length=2)]
_Part = Annotated[float, Field(ge=0, lt=1)]


class LaunchEntry(StrictModel):
    """What it takes until a job works."""

    takes_s: _NotNegative = Field(0.0, description="from when a job has everything to when it works")
    never_frac: _Part = Field(0.0, description="part of the jobs that do not come up the first time")
    timeout_s: _Positive = Field(600.0, description="how long those hold their accelerators")


class ReservationEntry(StrictModel):
    """Hosts kept for a tenant."""

    tenant: str
    hosts: list[str] = Field(min_length=1, description="may hold ranges, as in h[0000-0007]")
    from_h: _NotNegative = 0.0
    to_h: _Positive


class DrainEntry(StrictModel):
    """Hosts that take nothing new for a while."""

    hosts: list[str] = Field(min_length=1, description="may hold ranges")
    from_h: _NotNegative
    hours: _Positive


class MaintenanceEntry(StrictModel):
    """Every host drained once in a period."""

    every_h: _Positive
    hours: _Positive
    hosts_at_once: Annotated[int, Field(ge=1)] = 1


class FailureEntry(StrictModel):
    """How often one part fails and how long that lasts."""

    mtbf_h: _Positive
    repair_h: _Positive = 24.0


class ServingEntry(StrictModel):
    """A serving pool."""

    accelerators: Annotated[int, Field(ge=1)] = Field(description="a replica")
    most: Annotated[int, Field(ge=1)] = Field(description="replicas")
    least: Annotated[int, Field(ge=0)] = 0
    tenant: str = ""
    lag_s: _NotNegative = 120.0
    cooldown_s: _NotNegative = 300.0
    priority: float = 0.0
    demand: list[_Pair] | None = Field(None, description="(hour, replicas needed from then on)")
    requests: str | None = Field(None, description="a trace of requests, beside this file")
    tokens_per_s: _Positive | None = Field(None, description="prompt and output tokens that a replica does")
    every_s: _Positive = Field(60.0, description="span over which requests are averaged")

    @model_validator(mode="after")
    def _has_demand(self) -> ServingEntry:
        if (self.demand is None) == (self.requests is None):
            raise RuleError(what="a pool has either demand or requests", allowed="one of demand, requests")
        if self.requests is not None and self.tokens_per_s is None:
            raise RuleError(what="requests need the rate of a replica", fix="add tokens_per_s", key=("requests",))
        return self


class DefragEntry(StrictModel):
    """When running jobs are moved together."""

    every_h: _Positive
    move_s: _NotNegative = 60.0


class RulesFile(StrictModel):
    """How a cluster is run."""

    schema_version: Literal[1] = Field(description="version of this file's language")
    description: str = Field("", description="for people")
    order: Literal["fifo", "sjf", "priority"] | None = None
    backfill: Literal["none", "any", "easy", "conservative"] | None = None
    backfill_depth: Annotated[int, Field(ge=0)] = 100
    quotas: dict[str, _NotNegative] = Field(default_factory=dict, description="tenant → accelerators at once")
    isolation: Literal["none", "host", "leaf"] = Field("none", description="what tenants never share")
    spread: Literal["any", "pod", "leaf"] = Field("any", description="where a gang that could fit in one must be")
    preempt: bool = False
    checkpoint_every_s: _NotNegative = 0.0
    restart_s: _NotNegative = 0.0
    launch: LaunchEntry | None = None
    gang_hold_s: _NotNegative = Field(0.0, description="0: gangs start at once; else how long one holds what it got")
    reservations: list[ReservationEntry] = Field(default_factory=list)
    drains: list[DrainEntry] = Field(default_factory=list)
    maintenance: MaintenanceEntry | None = None
    failures: dict[_PartName, FailureEntry] | Literal["published"] | None = Field(
        None, description="by part; published: what is known of H100 (Llama 3)"
    )
    serving: dict[str, ServingEntry] = Field(default_factory=dict)
    batch_every_s: _NotNegative = Field(0.0, description="how often a policy that places batches is asked")
    defrag: DefragEntry | None = None


def load_rules(path: str | os.PathLike[str] | None, fabric: Fabric, span_s: float, **given: Any) -> Rules:
    """Return the rules that a file describes on a fabric; what is `given` otherwise goes before it.

    Parameters
    ----------
    path
        The file; None: defaults.
    span_s
        Until when failures and maintenance are drawn: the last submission.
    given
        Attributes of `Rules`; those that are None or empty are left to the file. `outages` are added to the file's.

    Raises
    ------
    InputError
        If the file cannot be read, breaks the schema, or names an unknown host.
    """
    told = {name: value for name, value in given.items() if value not in (None, (), {}, False, 0.0)}
    if path is None:
        return Rules(**told)
    document = load_document(path)
    file = validate(RulesFile, document)
    seed = int(given.get("seed") or 1)
    outages = (*_outages(file, document, fabric, span_s, seed), *told.pop("outages", ()))
    from_file: dict[str, Any] = {
        "order": file.order or "fifo",
        "backfill": file.backfill or "easy",
        "backfill_depth": file.backfill_depth,
        "quotas": file.quotas,
        "isolation": file.isolation,
        "spread": file.spread,
        "reservations": tuple(_reservations(file, document, fabric)),
        "can_preempt": file.preempt,
        "checkpoint_every_s": file.checkpoint_every_s,
        "restart_s": file.restart_s,
        "gang_hold_s": file.gang_hold_s,
        "outages": outages,
        "pools": tuple(_pools(file, document, Path(path).parent, fabric)),
        "batch_every_s": file.batch_every_s,
    }
    if file.launch is not None:
        from_file |= {
            "launch_s": file.launch.takes_s,
            "never_launch_frac": file.launch.never_frac,
            "launch_timeout_s": file.launch.timeout_s,
        }
    if file.defrag is not None:
        from_file |= {"defrag_every_s": file.defrag.every_h * _HOUR_S, "move_s": file.defrag.move_s}
    return Rules(**{**from_file, **told})


def _hosts(document: Document, key: tuple[str | int, ...], names: list[str], fabric: Fabric) -> tuple[int, ...]:
    return _at(document, key, lambda: tuple(fabric.host_idx(host) for name in names for host in expand_names(name)))


def _at(document: Document, key: tuple[str | int, ...], make: Callable[[], _Made]) -> _Made:
    """Return what `make` makes; its errors point at a key of the file."""
    try:
        return make()
    except (InputError, RuleError) as error:
        raise document.error(key, what=error.what, found=error.found, allowed=error.allowed, fix=error.fix) from None


def _reservations(file: RulesFile, document: Document, fabric: Fabric) -> list[Reservation]:
    return [
        Reservation(
            entry.tenant,
            _hosts(document, ("reservations", i, "hosts"), entry.hosts, fabric),
            entry.from_h * _HOUR_S,
            entry.to_h * _HOUR_S,
        )
        for i, entry in enumerate(file.reservations)
    ]


def _outages(file: RulesFile, document: Document, fabric: Fabric, span_s: float, seed: int) -> list[Outage]:
    found: list[Outage] = []
    for i, drain in enumerate(file.drains):
        start = drain.from_h * _HOUR_S
        hosts = _hosts(document, ("drains", i, "hosts"), drain.hosts, fabric)
        found += [Outage(host, start, start + drain.hours * _HOUR_S, is_drain=True) for host in hosts]
    plan = file.maintenance
    if plan is not None:
        every_s, lasts_s = plan.every_h * _HOUR_S, plan.hours * _HOUR_S
        found += _at(
            document,
            ("maintenance",),
            lambda: rolling_drains(
                fabric.num_hosts, span_s, every_s=every_s, lasts_s=lasts_s, at_once=plan.hosts_at_once
            ),
        )
    if file.failures is not None:
        parts = PARTS
        if file.failures != "published":
            parts = {
                name: Reliability(entry.mtbf_h * _HOUR_S, entry.repair_h * _HOUR_S)
                for name, entry in file.failures.items()
            }
        found += draw_part_outages(fabric, span_s, parts, seed=seed)
    return found


def _pools(file: RulesFile, document: Document, folder: Path, fabric: Fabric) -> list[ServingPool]:
    found = []
    for name, entry in file.serving.items():
        if entry.accelerators > fabric.num_accelerators:
            raise document.error(
                ("serving", name, "accelerators"), what="a replica larger than the cluster", found=entry.accelerators
            )
        demand = _demand(entry, folder)

        def made(name: str = name, entry: ServingEntry = entry, demand: _Steps = demand) -> ServingPool:
            return ServingPool(
                name,
                entry.accelerators,
                entry.most,
                demand,
                least=entry.least,
                tenant=entry.tenant,
                lag_s=entry.lag_s,
                cooldown_s=entry.cooldown_s,
                priority=entry.priority,
            )

        found.append(_at(document, ("serving", name), made))
    return found


def _demand(entry: ServingEntry, folder: Path) -> _Steps:
    """Return the replicas that a pool's requests need over time."""
    if entry.requests is None or entry.tokens_per_s is None:
        return tuple((hour * _HOUR_S, replicas) for hour, replicas in entry.demand or ())
    from planner.traces.requests import read_requests

    requests = read_requests(folder / entry.requests).requests
    tokens = requests.prompt_tokens - requests.cached_tokens + requests.output_tokens
    return demand_of(requests.arrival_s, tokens, work_per_s=entry.tokens_per_s, every_s=entry.every_s)

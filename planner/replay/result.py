"""`ReplayResult`: what a replay found, as plain data that is written as JSON by a schema and drawn in reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from planner.replay.advice import Advice
from planner.replay.bill import Bill
from planner.replay.metrics import GroupFigures, PoolFigures, Summary
from planner.replay.stranded import Slots
from planner.replay.timeline import Timeline
from topologies.html_table import html_table

__all__ = ["SCHEMA", "PolicyResult", "ReplayResult", "Saving", "replay_json_schema"]

SCHEMA: Literal["scaleplan/replay/2"] = "scaleplan/replay/2"


@dataclass(frozen=True)
class PolicyResult:
    """What one policy made of the trace.

    Attributes
    ----------
    policy
        Its name.
    finished
        False if the replay was interrupted: everything is then of the time until that.
    summary
        Figures of the whole.
    by_size, by_tenant
        Figures by accelerators a job, and by tenant.
    pools
        Serving pools.
    bill
        What it cost.
    timeline
        What it looked like over time.
    slots_when_most_stranded, most_stranded_at_s
        Free slots by size at the moment with most accelerators idle while a job waits, and when that was.
    advice
        What jobs and pools should ask for, dearest first.
    times_congestion_was_scored
        How often.
    """

    policy: str
    finished: bool
    summary: Summary
    by_size: dict[str, GroupFigures]
    by_tenant: dict[str, GroupFigures]
    pools: tuple[PoolFigures, ...]
    bill: Bill
    timeline: Timeline
    slots_when_most_stranded: tuple[Slots, ...]
    most_stranded_at_s: float
    advice: tuple[Advice, ...]
    times_congestion_was_scored: int


@dataclass(frozen=True, slots=True)
class Saving:
    """What a policy strands less than another a month; negative if it strands more."""

    policy: str
    against: str
    usd_per_month: float


@dataclass(frozen=True)
class ReplayResult:
    """A trace on a fabric under one or several policies.

    Attributes
    ----------
    fabric, accelerators
        Its name, and how many it has.
    trace, jobs
        Where the trace came from, and how many jobs were read from it.
    mended
        What had to be mended or left out in the trace → how often.
    rules
        How the cluster was run, in words.
    usd_per_gpu_hour
        The price in all bills.
    policies
        In the order in which they were asked for.
    savings
        Each policy against each one that was asked for after it.
    """

    fabric: str
    accelerators: int
    trace: str
    jobs: int
    mended: dict[str, int]
    rules: dict[str, str]
    usd_per_gpu_hour: float
    policies: tuple[PolicyResult, ...]
    savings: tuple[Saving, ...]
    schema: Literal["scaleplan/replay/2"] = SCHEMA

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the policies side by side."""
        rows = [
            [p.policy, f"{p.summary.allocated_frac:.2%}", f"{p.summary.goodput_frac:.2%}", p.summary.mean_wait_s]
            for p in self.policies
        ]
        return html_table(f"{self.trace} on {self.fabric}", rows, ["policy", "held", "goodput", "mean wait s"])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, the schema's name first."""
        return {"schema": self.schema, **asdict(self)}


def replay_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a result."""
    from pydantic import TypeAdapter

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(ReplayResult).json_schema(mode="serialization"),
    }

"""The page of a replay: how much of the cluster did useful work, what stood idle and why, who waited, what it cost."""

from __future__ import annotations

import numpy as np

from planner.replay.metrics import SIZE_CLASSES
from planner.replay.result import PolicyResult
from planner.replay.stranded import CAUSES
from planner.report import ReplayStudy
from reports.figures.replayed import bill_figure, idle_figure, time_unit, waits_figure
from reports.figures.timeline import CAUSE_WORDS, queue_figure, timeline_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Panel, Table, Tile, render_page

__all__ = ["ReplayPage"]

_SIZES = (*(name for _, name in SIZE_CLASSES), "513+")
_MOST_TENANTS = 200
_NOT_STRANDED = ("no-demand", "down")
_DAY_S = 86_400.0
_LEAST_S = 0.5
"""Shorter times are told as none."""


class ReplayPage:
    """Renders a `ReplayStudy`."""

    def render(self, study: ReplayStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: ReplayStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: ReplayStudy) -> Page:
        """Return what stands on the page."""
        answer = study.outcomes[0]
        blocks = [
            _policies(study),
            _timeline(study, answer),
            _idle(study),
            _queue(study),
            _waits(study),
            _slots(answer),
            _bill(answer),
            _sure(study),
        ]
        fabric = study.fabric
        made = {"fabric": f"{fabric.name}, sha256 {fabric.fingerprint}", **study.rules}
        return Page(
            study.title,
            _in_words(study),
            blocks,
            study.provenance,
            eyebrow="Replay report",
            tiles=_tiles(answer),
            made=made,
        )


def _stranded_frac(outcome: PolicyResult) -> float:
    """Return the share of accelerator time that stood idle although somebody waited."""
    return sum(frac for cause, frac in outcome.summary.idle_frac.items() if cause not in _NOT_STRANDED)


def _month_usd(outcome: PolicyResult) -> float:
    """Return what is stranded, or down, a month."""
    bill = outcome.bill
    return sum(bill.stranded_usd.values()) / (bill.total_usd or 1.0) * bill.month_usd


def _duration(seconds: float) -> str:
    unit_s, unit = time_unit(seconds)
    return "no time" if seconds < _LEAST_S else f"{seconds / unit_s:,.3g} {unit}"


def _in_words(study: ReplayStudy) -> list[str]:
    answer = study.outcomes[0]
    told, fabric = answer.summary, study.fabric
    causes = {c: f for c, f in told.idle_frac.items() if c not in _NOT_STRANDED and f > 0}
    first = (
        f"Under {answer.policy}, {told.allocated_frac:.1%} of {fabric.num_accelerators:,} accelerators are held by "
        f"jobs over {told.makespan_s / _DAY_S:,.1f} days, {told.goodput_frac:.1%} do work that is kept"
    )
    if causes:
        worst = max(causes, key=lambda c: causes[c])
        first += (
            f", and {_stranded_frac(answer):.1%} stand idle although somebody waits, most of it {CAUSE_WORDS[worst]} "
            f"({causes[worst]:.1%})."
        )
    else:
        first += "; nothing stands idle while somebody waits."
    mean, p90 = _duration(told.mean_wait_s), _duration(told.p90_wait_s)
    most = f"nine of ten no longer than {p90}" if told.p90_wait_s >= _LEAST_S else "nine of ten not at all"
    second = f"A job waits {mean} on average, {most}." if told.mean_wait_s else "No job waits."
    refused = sum(told.refused.values())
    if refused:
        second += f" {refused:,} jobs can never run here."
    others = []
    for other in study.outcomes[1:]:
        saved = _month_usd(other) - _month_usd(answer)
        much = f"{abs(saved):,.0f} US$ a month {'more' if saved > 0 else 'less'}"
        same = abs(saved) < 0.5
        waits = _duration(other.summary.mean_wait_s)
        others.append(f"{other.policy} strands {'the same' if same else much} and lets jobs wait {waits} on average")
    return [first, second + (f" Beside it: {'; '.join(others)}." if others else "")]


def _tiles(answer: PolicyResult) -> list[Tile]:
    told = answer.summary
    stranded = f"{_stranded_frac(answer):.1%}"
    lost = f"{sum(answer.bill.stranded_usd.values()):,.0f} US$ with what was down"
    return [
        Tile("Held by jobs", f"{told.allocated_frac:.1%}", "of all accelerators' time"),
        Tile("Work that is kept", f"{told.goodput_frac:.1%}", "goodput"),
        Tile("Stranded", stranded, lost if answer.bill.total_usd else "idle while somebody waits"),
        Tile("Mean wait", _duration(told.mean_wait_s), f"nine of ten: {_duration(told.p90_wait_s)}"),
        Tile("Jobs done", f"{told.jobs:,}", f"{told.failures:,} failures, {told.preemptions:,} preempted"),
    ]


def _policies(study: ReplayStudy) -> Block:
    columns = [
        "policy", "held", "useful", "goodput", "stranded", "mean wait", "p90 wait", "mean JCT", "slow-down",
        "makespan h", "refused", "stranded US$ a month",
    ]  # fmt: skip
    rows = [
        [
            o.policy,
            f"{o.summary.allocated_frac:.2%}",
            f"{o.summary.useful_frac:.2%}",
            f"{o.summary.goodput_frac:.2%}",
            f"{_stranded_frac(o):.2%}",
            _duration(o.summary.mean_wait_s),
            _duration(o.summary.p90_wait_s),
            _duration(o.summary.mean_jct_s),
            float(o.summary.mean_bounded_slowdown),
            o.summary.makespan_s / 3600,
            sum(o.summary.refused.values()),
            round(_month_usd(o)),
        ]
        for o in study.outcomes
    ]
    lead = (
        "The first line is the answer. Stranded: idle although somebody waits. Slow-down: completion time over run "
        "time, run times below 10 s counted as 10 s."
    )
    rules = ", ".join(f"{name} {told}" for name, told in study.rules.items() if name in ("order", "backfill"))
    caption = f"{study.num_jobs:,} jobs of {study.trace}; {rules}"
    table = Table(columns, rows, caption, first_is_answer=True)
    return Block("decision", "Policies side by side", lead, table=table, short="Policies")


def _timeline(study: ReplayStudy, answer: PolicyResult) -> Block:
    line = answer.timeline
    causes = [cause for cause in CAUSES if max(line.idle[cause], default=0.0) > 0]
    lasts_s = np.diff(line.edges_s)
    days = np.floor(np.array(line.middle_s) / _DAY_S).astype(int)
    rows: list[list[object]] = []
    step = max(1, -(-int(days.max(initial=0) + 1) // 60))
    for first in range(0, int(days.max(initial=0)) + 1, step):
        own = (days >= first) & (days < first + step)
        weight = lasts_s[own]
        if not weight.sum():
            continue
        day = str(first) if step == 1 else f"{first} to {first + step - 1}"
        series = [line.working, *(line.idle[c] for c in causes), line.waiting_jobs]
        rows.append([day, *(float(np.average(np.array(values)[own], weights=weight)) for values in series)])
    columns = ["day", "used", *("free" if c == "no-demand" else c for c in causes), "jobs in line"]
    span = _duration(float(lasts_s.max(initial=0.0)))
    return Block(
        "timeline",
        "The cluster over time",
        f"Every accelerator, every moment: used, or idle by the first cause that keeps the first waiting job from it. "
        f"Means over {span}, under {answer.policy}.",
        timeline_figure(line),
        "Stacked areas over time: accelerators used, stranded by cause, down and free.",
        Table(columns, rows, "Mean accelerators"),
        short="Timeline",
        models=("replay",),
    )


def _idle(study: ReplayStudy) -> Block:
    causes = [c for c in CAUSES if any(o.summary.idle_frac[c] > 0 for o in study.outcomes)]
    rows = [
        [f"{cause}: {CAUSES[cause]}", *(f"{o.summary.idle_frac[cause]:.2%}" for o in study.outcomes)]
        for cause in causes
    ]
    shares = [(o.policy, o.summary.working_frac, o.summary.idle_frac) for o in study.outcomes]
    return Block(
        "idle",
        "Where the capacity goes",
        "The whole replay, a bar a policy.",
        idle_figure(shares),
        "Stacked bars: share of accelerator time used and idle by cause, a bar a policy.",
        Table(["idle because", *(o.policy for o in study.outcomes)], rows),
        short="Idle by cause",
        models=("replay",),
    )


def _queue(study: ReplayStudy) -> Block:
    lines = [(o.policy, o.timeline) for o in study.outcomes]
    rows = [
        [
            policy,
            float(np.average(t.waiting_jobs, weights=np.diff(t.edges_s))) if t.waiting_jobs else 0.0,
            max(t.waiting_jobs, default=0.0),
            t.middle_s[int(np.argmax(t.waiting_jobs))] / _DAY_S if t.waiting_jobs else 0.0,
        ]
        for policy, t in lines
    ]
    return Block(
        "queue",
        "Jobs in line",
        "How many jobs wait, a line a policy.",
        queue_figure(lines),
        "Line chart: number of waiting jobs over time, a line a policy.",
        Table(["policy", "mean", "most", "on day"], rows),
        short="Queue",
        models=("replay",),
    )


def _waits(study: ReplayStudy) -> Block:
    sizes = [size for size in _SIZES if any(size in o.by_size for o in study.outcomes)]
    rows: list[list[object]] = []
    for o in study.outcomes:
        for size, own in o.by_size.items():
            waits_s = (own.mean_wait_s, own.p50_wait_s, own.p90_wait_s, own.p99_wait_s, own.max_wait_s)
            rows.append([o.policy, size, own.jobs, *(_duration(wait_s) for wait_s in waits_s)])
    half = [(o.policy, {size: own.p50_wait_s for size, own in o.by_size.items()}) for o in study.outcomes]
    most = [(o.policy, {size: own.p90_wait_s for size, own in o.by_size.items()}) for o in study.outcomes]
    panels = [
        Panel(title, waits_figure(waits, sizes), f"Bars: {title.lower()} by the job's accelerators, a bar a policy.")
        for title, waits in (("Half wait no longer than", half), ("Nine of ten wait no longer than", most))
    ]
    return Block(
        "waits",
        "Waits by size",
        "From submission to start, jobs that ended; time in line after a failure or preemption counts too.",
        table=Table(["policy", "accelerators", "jobs", "mean", "median", "p90", "p99", "longest"], rows),
        panels=panels if sizes else (),
        short="Waits",
        models=("replay",),
    )


def _slots(answer: PolicyResult) -> Block:
    rows = [[slot.size, slot.free, slot.blocked_by] for slot in answer.slots_when_most_stranded]
    hour = answer.most_stranded_at_s / 3600
    lead = f"How many jobs of each size could start in hour {hour:,.1f}, when most stood idle while jobs waited."
    table = Table(["accelerators", "slots free", "what blocks the next"], rows, f"Under {answer.policy}")
    return Block("slots", "Slots at the worst moment", lead, table=table, short="Slots")


def _bill(answer: PolicyResult) -> Block:
    bill = answer.bill
    rows: list[list[object]] = [
        [line.tenant or "–", round(line.allocated_usd), round(line.used_usd)] for line in bill.lines[:_MOST_TENANTS]
    ]
    rows += [[f"stranded: {CAUSES[cause]}", round(usd), 0] for cause, usd in bill.stranded_usd.items()]
    rows += [["idle, nobody waits", round(bill.idle_usd), 0]]
    lead = (
        f"All accelerators over the whole time: {bill.total_usd:,.0f} US$; a month of them {bill.month_usd:,.0f} US$."
    )
    return Block(
        "bill",
        "The bill by tenant",
        lead,
        bill_figure(bill) if bill.lines else None,
        "Bars: US$ by tenant, used, and held without use.",
        Table(["tenant", "held US$", "used US$"], rows, f"Under {answer.policy}"),
        short="Bill",
        models=("replay",),
    )


def _sure(study: ReplayStudy) -> Block:
    notes = [
        "Queues follow from the trace, the rules and the counts of hosts; run times are the trace's own.",
        *(f"{what}: {count:,}" for what, count in study.mended.items()),
    ]
    if study.rules.get("congestion", "").startswith("not"):
        notes.append("Jobs do not slow each other down here; ‘--congestion’ scores the links they share.")
    return Block("sure", "How sure this is, and what was mended", notes=notes, short="How sure")

"""What ``scaleplan replay`` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from planner.cli.output import print_lines, print_table

if TYPE_CHECKING:
    from planner.replay.metrics import GroupFigures
    from planner.replay.result import PolicyResult, ReplayResult

__all__ = ["print_replay"]

_MOST_ROWS = 20


def print_replay(result: ReplayResult) -> None:
    """Print policies side by side, then the first of them in detail."""
    print_lines(f"{what}: {count:,}" for what, count in result.mended.items())
    _side_by_side(result)
    _idle(result)
    if not result.policies:
        return
    first = result.policies[0]
    _slots(first)
    _groups("accelerators", f"{first.policy}: by size", first.by_size)
    _groups("tenant", f"{first.policy}: by tenant", _largest(first.by_tenant))
    _bill(first)
    _pools(first)
    _advice(first)
    for saving in result.savings:
        if saving.policy == first.policy:
            more = "less" if saving.usd_per_month >= 0 else "more"
            print_lines(
                [f"{saving.policy} strands {abs(saving.usd_per_month):,.0f} $ a month {more} than {saving.against}"]
            )


def _side_by_side(result: ReplayResult) -> None:
    rows = [
        [
            policy.policy + ("" if policy.finished else " (interrupted)"),
            s.jobs,
            f"{s.allocated_frac:.2%}",
            f"{s.useful_frac:.2%}",
            f"{s.goodput_frac:.2%}",
            s.mean_wait_s,
            s.p90_wait_s,
            s.mean_jct_s,
            s.mean_bounded_slowdown,
            s.makespan_s / 3600,
            sum(s.refused.values()),
            round(sum(policy.bill.stranded_usd.values())),
        ]
        for policy in result.policies
        for s in [policy.summary]
    ]
    told = ", ".join(f"{name} {value}" for name, value in result.rules.items() if value != "not scored")
    columns = [
        *("policy", "jobs", "allocated", "useful", "goodput", "mean wait s", "p90 wait s", "mean JCT s", "slow-down"),
        *("makespan h", "refused", "$ stranded"),
    ]
    print_table(columns, rows, title=f"{result.trace} on {result.fabric}: {result.jobs:,} jobs; {told}")
    for policy in result.policies:
        s = policy.summary
        counts = (s.failures, s.preemptions, s.never_launched, s.moves)
        happened = zip(counts, ("failed", "preempted", "never launched", "moved"), strict=True)
        more = "".join(f"; {count:,} {what}" for count, what in happened if count)
        print_lines([f"{policy.policy}: {s.deployable_frac:.2%} deployable, {s.energy_kwh:,.0f} kWh{more}"])


def _idle(result: ReplayResult) -> None:
    from planner.replay.stranded import CAUSES

    causes = [cause for cause in CAUSES if any(p.summary.idle_frac[cause] > 0 for p in result.policies)]
    print_table(
        ["idle because", *(p.policy for p in result.policies)],
        [
            [f"{cause}: {CAUSES[cause]}", *(f"{p.summary.idle_frac[cause]:.2%}" for p in result.policies)]
            for cause in causes
        ],
        title="idle capacity by cause, over the whole replay",
    )


def _slots(policy: PolicyResult) -> None:
    hour = policy.most_stranded_at_s / 3600
    print_table(
        ["accelerators", "slots free", "what blocks the next"],
        [[slot.size, slot.free, slot.blocked_by] for slot in policy.slots_when_most_stranded],
        title=f"{policy.policy}: slots when most was idle while jobs waited, hour {hour:.1f}",
    )


def _largest(groups: Mapping[str, GroupFigures]) -> dict[str, GroupFigures]:
    ordered = sorted(groups.items(), key=lambda item: (-item[1].allocated_gpu_h, item[0]))
    return dict(ordered[:_MOST_ROWS])


def _groups(what: str, title: str, groups: Mapping[str, GroupFigures]) -> None:
    print_table(
        [what, "jobs", "mean wait s", "p90 wait s", "mean JCT s", "slow-down", "GPU-hours"],
        [
            [name or "–", g.jobs, g.mean_wait_s, g.p90_wait_s, g.mean_jct_s, g.mean_bounded_slowdown, g.allocated_gpu_h]
            for name, g in groups.items()
        ],
        title=title,
    )


def _bill(policy: PolicyResult) -> None:
    bill = policy.bill
    rows = [
        [line.tenant or "–", round(line.allocated_usd), round(line.used_usd), round(line.stranded_usd)]
        for line in bill.lines[:_MOST_ROWS]
    ]
    more = len(bill.lines) - len(rows)
    print_table(
        ["tenant", "allocated $", "used $", "stranded $"],
        rows,
        title=f"{policy.policy}: the bill; idle without demand {bill.idle_usd:,.0f} $, "
        f"all of it {bill.total_usd:,.0f} $" + (f"; {more} more tenants in --json" if more else ""),
    )


def _pools(policy: PolicyResult) -> None:
    if policy.pools:
        print_table(
            ["serving pool", "served GPU-h", "busy GPU-h", "short GPU-h"],
            [[pool.name, pool.held_gpu_h, pool.busy_gpu_h, pool.short_gpu_h] for pool in policy.pools],
            title=f"{policy.policy}: serving pools",
        )


def _advice(policy: PolicyResult) -> None:
    if policy.advice:
        print_table(
            ["advice", "tenant", "what", "jobs", "GPU-h", "$ a month"],
            [[a.kind, a.tenant or "–", a.text, a.jobs, a.gpu_h, round(a.usd_per_month)]
             for a in policy.advice[:_MOST_ROWS]],
            title="right-sizing",
        )  # fmt: skip

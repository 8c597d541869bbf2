"""``scaleplan replay``: a trace of jobs on a fabric, under one or several policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_table, progress_line
from planner.cli.report_files import MarkdownOption, PdfOption, ReportOption, write_reports
from topologies.errors import OutputError

if TYPE_CHECKING:
    from planner.report import ReplayStudy

__all__ = ["register"]

DEFAULT_POLICIES = ("best-fit", "first-fit", "slurm-tree")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(replay)
    app.command()(draw_trace)


def replay(
    fabric: FabricArgument,
    trace: Annotated[Path, typer.Option("--trace", help="The trace, in any format known.")],
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="A scheduler, solver:NAME or batch:NAME, or several.")
    ] = None,
    format: Annotated[str | None, typer.Option("--format", help="The trace's format; found out if left out.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="State file: hosts that take no part.")] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Rules file: how the cluster is run; options go before it.")
    ] = None,
    order: Annotated[str | None, typer.Option("--order", help="fifo, sjf, priority.")] = None,
    backfill: Annotated[
        str | None, typer.Option("--backfill", help="none, any, easy, conservative; easy if left out.")
    ] = None,
    max_jobs: Annotated[int | None, typer.Option("--max-jobs", min=1, help="Only the first so many jobs.")] = None,
    congestion: Annotated[bool, typer.Option("--congestion", help="Stretch run times by links shared.")] = False,
    communicate_frac: Annotated[
        float, typer.Option("--communicate-frac", help="Part of a step in which a job communicates, alone.")
    ] = 0.3,
    routing: Annotated[str, typer.Option("--routing", help="spray, ecmp, dmodk.")] = "spray",
    quota: Annotated[list[str] | None, typer.Option("--quota", help="TENANT=ACCELERATORS at once.")] = None,
    preempt: Annotated[bool, typer.Option("--preempt", help="Higher priority may stop lower.")] = False,
    checkpoint_every: Annotated[float, typer.Option("--checkpoint-every", help="Seconds; 0: nothing is lost.")] = 0.0,
    restart: Annotated[float, typer.Option("--restart", help="Seconds that a restart costs.")] = 0.0,
    mtbf_hours: Annotated[float, typer.Option("--mtbf-hours", help="Of a host; 0: no failures.")] = 0.0,
    repair_hours: Annotated[float, typer.Option("--repair-hours", help="Mean time to repair a host.")] = 4.0,
    usd_per_gpu_hour: Annotated[float, typer.Option("--usd-per-gpu-hour", help="Price for the bill.")] = 2.0,
    idle_power_frac: Annotated[
        float, typer.Option("--idle-power-frac", help="Part of its power that an idle accelerator draws.")
    ] = 0.15,
    batch_every: Annotated[
        float, typer.Option("--batch-every", help="Seconds between the batches of batch:NAME; 0: at every change.")
    ] = 0.0,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="Keeps solvers' decisions: start again with it to go on.")
    ] = None,
    solver_time_limit: Annotated[float, typer.Option("--solver-time-limit", help="Seconds a solver call.")] = 5.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same answer.")] = 1,
    report: ReportOption = None,
    pdf: PdfOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a trace: waits, utilization, what is stranded and why, and the bill."""
    from planner.cli.replay_tables import print_replay
    from planner.files.rules_file import load_rules
    from planner.files.state_file import load_state
    from planner.replay.journal import Journal
    from planner.replay.moving import AdvisedMover
    from planner.replay.on_fabric import power_of
    from planner.replay.outages import draw_outages
    from planner.replay.stretch import Congestion
    from planner.replay.study import Setting, fitted, replay_policies
    from planner.traces.reading import read_trace
    from topologies.files.fabric_file import load_fabric

    loaded = load_fabric(fabric)
    found = fitted(read_trace(trace, format=format), loaded)
    if max_jobs is not None:
        found = found.head(max_jobs)
    span_s = found.last_submit_s
    mtbf_s, repair_s = mtbf_hours * 3600, repair_hours * 3600
    outages = draw_outages(loaded.num_hosts, span_s, mtbf_s=mtbf_s, repair_s=repair_s, seed=seed) if mtbf_hours else ()
    run = load_rules(
        rules,
        loaded,
        span_s,
        order=order,
        backfill=backfill or ("easy" if rules is None else None),
        quotas=_quotas(quota or []),
        can_preempt=preempt,
        checkpoint_every_s=checkpoint_every,
        restart_s=restart,
        outages=outages,
        batch_every_s=batch_every,
        seed=seed,
    )
    chosen = policy or list(DEFAULT_POLICIES)
    inputs: list[str | Path] = [path for path in (fabric, trace, state, rules) if path is not None]
    kept = None
    if journal is not None:
        kept = Journal(journal, _fingerprint(inputs, chosen, run, congestion, communicate_frac, routing, max_jobs))

    def stretch() -> Congestion:
        return Congestion(loaded, communicate_frac=communicate_frac, routing=routing, journal=kept)

    if congestion:
        stretch()
    shown = [0.0]

    def tick(name: str, now_s: float) -> None:
        if abs(now_s - shown[0]) > 3600:
            shown[0] = now_s
            progress_line(f"{name}: day {now_s / 86400:.1f} of {span_s / 86400:.1f}")

    setting = Setting(
        state=None if state is None else load_state(state, loaded),
        congestion=stretch if congestion else None,
        mover=(lambda: AdvisedMover(loaded, time_limit_s=solver_time_limit, seed=seed, journal=kept))
        if run.defrag_every_s
        else None,
        power=power_of(loaded, idle_frac=idle_power_frac),
        usd_per_gpu_hour=usd_per_gpu_hour,
        solver_time_limit_s=solver_time_limit,
        journal=kept,
        tick=tick,
    )
    told = {
        "order": run.order,
        "backfill": run.backfill,
        "congestion": f"scored, {communicate_frac:.0%} of a step, {routing}" if congestion else "not scored",
        **run.told(),
        "price": f"{usd_per_gpu_hour:g} US$ a GPU-hour",
        "seed": str(seed),
    }
    result = replay_policies(loaded, found, chosen, run, setting, rules_told=told)
    if kept is not None:
        kept.close()
    progress_line("")

    def replayed() -> ReplayStudy:
        from planner.report import Provenance, ReplayStudy

        title, made = f"{found.source} on {loaded.name}", Provenance.of(inputs)
        return ReplayStudy(title, loaded, found.source, len(found.jobs), found.mended, result.policies, told, made)

    write_reports(replayed, report, pdf, markdown)
    if as_json:
        print_json(result.as_dict())
    else:
        print_replay(result)
    if not all(policy.finished for policy in result.policies):
        raise OutputError(
            what="the replay was interrupted; what is told is of the time until then",
            where=str(trace),
            fix="start it again with the same --journal to go on" if kept is not None else "--journal lets one go on",
        )


def _fingerprint(inputs: list[str | Path], *rest: object) -> str:
    """Return what a replay is of: the bytes of its inputs, and everything it was told."""
    import hashlib

    from planner.report import fingerprints

    return hashlib.sha256(repr((sorted(fingerprints(inputs).items()), *rest)).encode()).hexdigest()


def draw_trace(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the trace goes, as CSV.")],
    like: Annotated[str, typer.Option("--like", help="Whose jobs: kalos (Acme), philly, helios, pai.")] = "kalos",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many.")] = 10_000,
    accelerators: Annotated[int, typer.Option("--accelerators", min=1, help="Of the cluster.")] = 1024,
    load: Annotated[float, typer.Option("--load", help="Asked for over there, 1: as much as there is.")] = 0.9,
    tenants: Annotated[int, typer.Option("--tenants", min=1, help="Jobs are spread over so many.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same trace.")] = 1,
) -> None:
    """Draw a trace from published distributions, and print how well it fits them."""
    from planner.files.writing import write_text
    from planner.traces import generator
    from topologies.errors import InputError

    published = {name.lower(): marginals for name, marginals in generator.published_marginals().items()}
    if like.lower() not in published:
        raise InputError(what="no such cluster", where="--like", found=repr(like), allowed=", ".join(published))
    chosen = published[like.lower()]
    drawn = generator.draw_trace(chosen, jobs, accelerators=accelerators, load_frac=load, seed=seed, tenants=tenants)
    rows = [f"{j.id},{j.submit_s:.3f},{j.duration_s:.3f},{j.gpus},{j.tenant}" for j in drawn.jobs]
    write_text(output, "\n".join(["job_id,submit_s,duration_s,gpus,tenant", *rows, ""]))
    fit = generator.fit_of(drawn, chosen)
    distances = [("jobs by accelerators", fit.gpus), ("jobs by duration", fit.duration_s)]
    if fit.gpu_time is not None:
        distances.append(("accelerator time by accelerators", fit.gpu_time))
    days = drawn.last_submit_s / 86400
    print_table(
        ["distribution", "distance (Kolmogorov–Smirnov)"],
        [[name, f"{distance:.4f}"] for name, distance in distances],
        title=f"{jobs:,} jobs over {days:.1f} days, drawn from {chosen.name}",
    )


def _quotas(texts: list[str]) -> dict[str, float]:
    from topologies.errors import InputError

    quotas = {}
    for text in texts:
        tenant, _, number = text.rpartition("=")
        try:
            quotas[tenant] = float(number)
        except ValueError:
            quotas[tenant] = -1.0
        if not tenant or not 0 <= quotas[tenant] < float("inf"):
            raise InputError(what="not a quota", where="--quota", found=repr(text), allowed="TENANT=ACCELERATORS")
    return quotas

"""``scaleplan slurm``: place the jobs of a running Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.output import print_json, print_lines, print_table
from planner.cli.report_files import MarkdownOption, PdfOption, ReportOption, write_reports

if TYPE_CHECKING:
    from planner.report import ObserveStudy
    from planner.slurm.commands import SlurmTools
    from planner.slurm.settings import SlurmSettings

__all__ = ["app"]

EXIT_FAILED = 1

app = typer.Typer(
    name="slurm",
    help="Place the jobs of a running Slurm: park, plan, pin.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file; /etc/scaleplan/slurm.yaml if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfDirOption = Annotated[
    Path | None, typer.Option("--conf-dir", help="Folder of slurm.conf; asked of slurmctld if not given.")
]
EtcDirOption = Annotated[Path, typer.Option("--etc-dir", help="Folder of scaleplan's own configuration.")]
UnitDirOption = Annotated[Path, typer.Option("--unit-dir", help="Folder of systemd units.")]
ApplyOption = Annotated[
    bool, typer.Option("--apply/--dry-run", help="Write the files; without it they are only shown.")
]


@app.callback()
def _root() -> None:
    """Place the jobs of a running Slurm: park, plan, pin."""


def _site(config: Path | None) -> tuple[SlurmSettings, SlurmTools]:
    from planner.slurm.service import make_tools
    from planner.slurm.settings import load_settings

    settings = load_settings(config)
    return settings, make_tools(settings)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the daemon: plan parked jobs until it is told to stop (SIGTERM)."""
    from planner.slurm.service import serve as run_service

    run_service(config)


@app.command()
def install(
    apply: ApplyOption = False,
    config: ConfigOption = None,
    conf_dir: ConfDirOption = None,
    etc_dir: EtcDirOption = Path("/etc/scaleplan"),
    unit_dir: UnitDirOption = Path("/etc/systemd/system"),
    remove: Annotated[bool, typer.Option("--remove", help="Take everything back instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Check the site and show every change and how to undo it; --apply writes the files. slurm.conf stays yours."""
    from planner.slurm.install import apply_plan, plan_install, remove_install
    from planner.slurm.read_site import read_config

    settings, tools = _site(config)
    site = read_config(tools)
    folder = conf_dir or Path(site.get("SLURM_CONF") or "/etc/slurm/slurm.conf").parent
    plan = plan_install(
        site,
        conf_dir=folder,
        etc_dir=etc_dir,
        unit_dir=unit_dir,
        run_dir=Path(settings.run_dir),
        state_dir=Path(settings.state_dir),
        min_nodes=settings.min_nodes,
        also_written=[
            *([Path(settings.metrics_file).parent] if settings.metrics_file else []),
            *([Path(settings.host_file_dir)] if settings.host_file_dir else []),
        ],
    )
    if remove:
        print_lines(remove_install(plan, apply=apply) or ["nothing of scaleplan is installed"])
        return 0
    written = apply_plan(plan) if apply else []
    if as_json:
        changes = [
            {"path": str(c.path), "why": c.why, "needed": c.is_needed, "undo": c.undo, "text": c.text}
            for c in plan.changes
        ]
        print_json(
            {
                "schema": "scaleplan/slurm-install/1",
                "changes": changes,
                "by_hand": plan.by_hand,
                "faults": plan.faults,
                "warnings": plan.warnings,
                "written": [str(path) for path in written],
            }
        )
    else:
        _show_install(plan, written)
    return EXIT_FAILED if plan.faults else 0


def _show_install(plan: Any, written: list[Path]) -> None:
    for change in plan.changes:
        done = "written" if change.path in written else "to write" if change.is_needed else "as it should be"
        print_lines([f"{change.path}: {done}: {change.why}"])
        if change.is_needed:
            print_lines([f"  undo: {change.undo}"])
            if change.path not in written:
                print_lines("  | " + line for line in _changed_lines(change))
    print_lines(f"fault: {fault}" for fault in plan.faults)
    print_lines(f"note: {warning}" for warning in plan.warnings)
    print_lines(f"yours to do, {i}: {step}" for i, step in enumerate(plan.by_hand, start=1))


def _changed_lines(change: Any) -> list[str]:
    import difflib

    old = (change.old or "").splitlines()
    return [
        line
        for line in difflib.unified_diff(old, change.text.splitlines(), lineterm="", n=1)
        if line[:3] not in ("---", "+++")
    ]


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Find what would break. Exit code 1 if something would."""
    from planner.slurm.doctor import examine

    findings = examine(*_site(config))
    if as_json:
        rows = [{"grade": f.grade, "what": f.what, "fix": f.fix} for f in findings]
        print_json({"schema": "scaleplan/slurm-doctor/1", "findings": rows})
    else:
        print_lines(f"{f.grade}: {f.what}" + (f"; fix: {f.fix}" if f.fix else "") for f in findings)
    return EXIT_FAILED if any(finding.grade == "fault" for finding in findings) else 0


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say what the running daemon does."""
    from planner.slurm.control import ask_daemon

    settings, _ = _site(config)
    answer = ask_daemon(settings.socket_path, "status")
    if as_json:
        print_json({"schema": "scaleplan/slurm-status/1", **answer})
        return
    last = answer.get("last_cycle", {})
    print_lines(
        [
            f"mode {answer['mode']}" + (", degraded: the journal cannot be written" if answer.get("degraded") else ""),
            f"last cycle: {last.get('jobs', 0)} jobs, {last.get('parked', 0)} parked, {last.get('waiting', 0)} waiting",
        ]
    )
    rows = [[name, _figure(name, value)] for name, value in sorted(answer.get("metrics", {}).items())]
    print_table(["figure", "value"], rows)


def _figure(name: str, value: float) -> str:
    import time

    if name.endswith("timestamp_seconds"):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value)) if value else "–"
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


@app.command()
def why(
    job: Annotated[str, typer.Argument(help="Job number, or ARRAY_TASK.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say what was done with a job and why, in words."""
    from planner.slurm.journal import Journal
    from planner.slurm.words import job_story

    settings, _ = _site(config)
    with Journal(settings.journal_path, read_only=True) as journal:
        tracked, decisions = journal.find(job), journal.decisions(job)
    if as_json:
        rows = [
            {"at_s": d.at_s, "action": d.action, "hosts": list(d.hosts), "reason": d.reason, "figures": d.figures}
            for d in decisions
        ]
        print_json(
            {"schema": "scaleplan/slurm-why/1", "job": job, "state": tracked and tracked.state, "decisions": rows}
        )
    else:
        print_lines(job_story(job, tracked, decisions))
    return 0 if tracked or decisions else EXIT_FAILED


@app.command()
def plan(
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The only way: nothing is ever changed.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Show where the jobs that wait now would be put. Changes nothing."""
    from planner.slurm.preview import preview

    settings, tools = _site(config)
    rows = preview(settings, tools)
    if as_json:
        print_json({"schema": "scaleplan/slurm-plan/1", "dry_run": dry_run, "jobs": rows})
    else:
        print_table(
            ["job", "nodes", "leaves", "hosts or reason"],
            [[row["job"], row["nodes"], row["leaves"] or "–", row["hosts"] or row["reason"]] for row in rows],
        )


@app.command()
def release(
    config: ConfigOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every pin and every parked job, not only pins to nodes that take no jobs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
) -> None:
    """Hand jobs to Slurm, with or without a daemon."""
    from planner.slurm.release import release_jobs

    _, tools = _site(config)
    jobs = release_jobs(tools, everything=everything, dry_run=dry_run)
    print_lines([f"{len(jobs)} jobs {'would be ' if dry_run else ''}handed to Slurm", *jobs])


@app.command()
def report(
    config: ConfigOption = None,
    days: Annotated[float, typer.Option("--days", min=0.01, help="How far back.")] = 1.0,
    html: ReportOption = None,
    pdf: PdfOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would have been saved (observe), and what was planned and ran."""
    from planner.slurm.journal import Journal
    from planner.slurm.savings import observed, summary

    settings, _ = _site(config)
    with Journal(settings.journal_path, read_only=True) as journal:
        found = summary(journal, days=days)
        would = observed(journal, days=days) if html or pdf or markdown else []

    def study() -> ObserveStudy:
        from planner.report import ObserveStudy, Provenance

        made = Provenance.of([settings.journal_path])
        return ObserveStudy("What planning would have saved", days, found, would, made)

    write_reports(study, html, pdf, markdown)
    if as_json:
        print_json({"schema": "scaleplan/slurm-report/1", "days": days, **found})
    else:
        print_table(["figure", "value"], list(found.items()), title=f"last {days:g} days")


@app.command()
def topology(
    fabric: Annotated[str, typer.Argument(help="A fabric file, or a name of the catalogue.")],
    kind: Annotated[str, typer.Option("--kind", help="tree or block.")] = "tree",
    form: Annotated[str, typer.Option("--format", help="conf, or yaml (topology.yaml, from 25.05).")] = "conf",
    block_sizes: Annotated[str, typer.Option("--block-sizes", help="Nodes a block, such as 18,36,72.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here instead of to the screen.")] = None,
) -> None:
    """Write Slurm's topology file from a fabric, checked, for review. Slurm is not told."""
    import sys

    from planner.files.writing import write_text
    from topologies.errors import InputError
    from topologies.files.fabric_file import load_fabric
    from topologies.formats.slurm_files import blocks_of_fabric, conf_text, tree_of_fabric, yaml_text

    if kind not in ("tree", "block") or form not in ("conf", "yaml"):
        raise InputError(
            what="no such kind or format",
            found=f"{kind}, {form}",
            allowed="--kind tree or block, --format conf or yaml",
        )
    words = [word.strip() for word in block_sizes.split(",") if word.strip()]
    if not all(word.isdigit() for word in words):
        raise InputError(what="not block sizes", where="--block-sizes", found=block_sizes, allowed="numbers: 18,36,72")
    loaded = load_fabric(fabric)
    made = tree_of_fabric(loaded) if kind == "tree" else blocks_of_fabric(loaded, block_sizes=[int(w) for w in words])
    text = conf_text(made) if form == "conf" else yaml_text(made)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
        print_lines([f"{output}: {len(made.leaves)} leaf switches or blocks; review it, then put it beside slurm.conf"])


@app.command()
def advise(
    config: ConfigOption = None,
    slots: Annotated[int | None, typer.Option("--slots", min=1, help="Count the free slots of so many GPUs.")] = None,
    sacct: Annotated[Path | None, typer.Option("--sacct", help="A file of sacct's output instead of asking.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="History to ask for.")] = 30,
    sizes: Annotated[
        str, typer.Option("--block-sizes", help="Block sizes to compare; from the site if not given.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say which block sizes and segments fit the site's history, or which slots are free and what blocks others."""
    if slots is not None:
        _advise_slots(config, slots, as_json)
    else:
        _advise_blocks(config, sacct, days, sizes, as_json)


def _advise_slots(config: Path | None, num_gpus: int, as_json: bool) -> None:
    from dataclasses import asdict

    from planner.slurm.advise import free_slots
    from planner.slurm.read_jobs import read_queue
    from planner.slurm.read_site import read_nodes
    from planner.slurm.read_topology import read_topology

    _, tools = _site(config)
    found = free_slots(num_gpus, read_nodes(tools), read_queue(tools), read_topology(tools))
    if as_json:
        print_json({"schema": "scaleplan/slurm-slots/1", **asdict(found)})
        return
    print_lines(
        [
            f"{found.slots} slots of {found.num_gpus} GPUs ({found.num_nodes} nodes) are free inside one leaf switch "
            f"or block, of {found.slots_if_empty} on an empty cluster; {found.across} more fit only across",
        ]
    )
    print_table(
        ["leaf or block", "free", "of", "idle nodes", "blocked by"],
        [
            [
                group.name or "(no switch)",
                group.slots,
                group.slots_if_empty,
                group.idle_nodes,
                ", ".join(
                    [f"job {job} ({held} nodes)" for job, held in group.blockers[:4]]
                    + [f"{len(group.not_up)} nodes not up"] * bool(group.not_up)
                )
                or "–",
            ]
            for group in found.groups
        ],
    )


def _advise_blocks(config: Path | None, sacct: Path | None, days: int, sizes: str, as_json: bool) -> None:
    from dataclasses import asdict

    from planner.slurm.advise import advise_blocks
    from planner.slurm.history import parse_sacct, read_sacct
    from planner.slurm.read_topology import read_topology
    from topologies.errors import InputError

    words = [word.strip() for word in sizes.split(",") if word.strip()]
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise InputError(what="not block sizes", where="--block-sizes", found=sizes, allowed="numbers: 16,18,32")
    candidates = [int(word) for word in words]
    if sacct is None:
        jobs = read_sacct(_site(config)[1], days=days)
    else:
        try:
            jobs = list(parse_sacct(sacct.read_text(encoding="utf-8", errors="replace"), where=str(sacct)))
        except OSError as error:
            raise InputError(what="cannot read the file", where=sacct, found=error.strerror or error) from error
    if not candidates:
        found = read_topology(_site(config)[1])
        candidates = list(found.block_sizes) or sorted({len(leaf.hosts) for leaf in found.leaves})
    advice = advise_blocks(jobs, candidates)
    if as_json:
        print_json({"schema": "scaleplan/slurm-advise/1", "jobs": len(jobs), "blocks": [asdict(one) for one in advice]})
        return
    print_table(
        ["block nodes", "node hours inside one block", "left over by segments", "--segment by job size"],
        [
            [
                one.block_nodes,
                f"{one.within_frac:.1%}",
                f"{one.stranded_frac:.1%}",
                ", ".join(f"-N{size}: {segment}" for size, segment in one.segments.items()) or "–",
            ]
            for one in advice
        ],
        title=f"{len(jobs)} past jobs",
    )


@app.command(name="hostfile")
def host_file_line(config: ConfigOption = None) -> None:
    """Print the line for a job script that hands the planned rank order to srun."""
    from planner.slurm.hostfile import prologue_helper
    from topologies.errors import InputError

    settings, _ = _site(config)
    if settings.host_file_dir is None:
        raise InputError(
            what="no host files are written", where="host_file_dir", fix="set it to a folder that the nodes can read"
        )
    print_lines([prologue_helper(Path(settings.host_file_dir))])

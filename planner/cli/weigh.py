"""``scaleplan weigh`` and ``scaleplan parallelism``: which design to buy, and how to spread a model over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines, print_note, print_table, progress_line
from planner.cli.report_files import MarkdownOption, PdfOption, ReportOption, write_reports
from planner.cli.weigh_tables import sweep_table, weigh_tables

if TYPE_CHECKING:
    from planner.report import WeighStudy
    from planner.workloads.training import JobKind

__all__ = ["register"]

_DESIGNS = "hgx-h100,hgx-b200,gb200-nvl72"
_WORKLOADS = "llama3-405b,deepseek-v3"
_MOST = 10_000_000


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(weigh)
    app.command()(parallelism)


def _list(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _sizes(text: str) -> list[int]:
    from topologies.errors import InputError

    words = _list(text)
    if not words or not all(w.isascii() and w.isdigit() and len(w) < 9 and 1 <= int(w) <= _MOST for w in words):
        raise InputError(
            what="not sizes",
            where="--sizes",
            found=repr(text),
            allowed=f"whole numbers from 1 to {_MOST:,}, with commas",
        )
    return list(dict.fromkeys(int(w) for w in words))


def weigh(
    study: Annotated[
        list[str] | None, typer.Argument(help="A study file; and further items to sweep, name=value,value…")
    ] = None,
    designs: Annotated[str, typer.Option("--designs", help="Designs of the catalogue, with commas.")] = _DESIGNS,
    workloads: Annotated[
        str, typer.Option("--workloads", help="Workloads of the catalogue, with commas.")
    ] = _WORKLOADS,
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of accelerators, with commas.")] = "1152",
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", help="What to vary: name=value,value… May be given several times.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Keep results in this file, and take up again what is in it.")
    ] = None,
    dask: Annotated[str | None, typer.Option("--dask", help="Address of a Dask scheduler.")] = None,
    report: ReportOption = None,
    pdf: PdfOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Weigh rack designs by what they carry: time, price, power, and what the scale-up domain is worth."""
    from planner.weigh.decide import decide, pareto_front
    from planner.weigh.study_file import load_study, named_study
    from planner.weigh.sweep import parse_sweep, points_of, run_points
    from topologies.errors import InputError

    files = [word for word in study or [] if "=" not in word]
    if len(files) > 1:
        raise InputError(what="more than one study file", found=", ".join(files), allowed="one")
    asked = load_study(files[0]) if files else named_study(_list(designs), _list(workloads), _sizes(sizes))
    varied = parse_sweep([*(sweep or []), *(word for word in study or [] if "=" in word)])
    points = points_of(asked, varied)
    reached = [0]

    def say(done: int, total: int) -> None:
        reached[0] = done
        progress_line(f"weighed {done} of {total}")

    try:
        cells = run_points(points, journal=resume, dask=dask, say=say)
    except KeyboardInterrupt:
        progress_line("")
        kept = f"kept in {resume}; the same command takes up again" if resume else "lost; --resume FILE keeps them"
        print_note(f"stopped: {reached[0]:,} of {len(points):,} points are {kept}")
        raise
    progress_line("")
    front = pareto_front(cells)
    decision = {} if varied else decide(asked, cells)

    def weighed() -> WeighStudy:
        from planner.report import Provenance, WeighStudy

        names = [design.name for design in asked.designs]
        title = f"Weighing {', '.join(names[:4])}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        swept = [name for name, _ in varied]
        return WeighStudy(title, asked, cells, front, decision, Provenance.of(files), swept)

    write_reports(weighed, report, pdf, markdown)
    if varied:
        if as_json:
            print_json({"schema": "scaleplan/weigh/1", "cells": cells, "pareto": front})
        else:
            sweep_table([name for name, _ in varied], cells, set(front))
        return
    if as_json:
        print_json({"schema": "scaleplan/weigh/1", "cells": cells, "pareto": front, "decision": decision})
        _check_any(decision)
        return
    weigh_tables(cells, set(front))
    print_lines(f"refused: {line}" for line in decision["refused"])
    print_lines(f"breaks a limit: {line}" for line in decision["broken"])
    if decision["tornado"]:
        print_table(
            ["what moves", "low", "high"],
            [[bar["what"], bar["low"], bar["high"]] for bar in decision["tornado"]],
            title="price of the first over the second",
        )
    print_lines([decision["answer"]])
    _check_any(decision)


def _check_any(decision: dict[str, Any]) -> None:
    """Raise if no design can be chosen: the command then ends as other infeasible ones do."""
    from topologies.errors import InfeasibleError

    if decision["choice"] is None:
        reasons = [*decision["refused"], *decision["broken"]]
        raise InfeasibleError(
            what="no design carries any workload within the limits",
            found=reasons[0] + (f"; and {len(reasons) - 1} more, above" if len(reasons) > 1 else "") if reasons else "",
        )


def _schedule(mapping: dict[str, Any]) -> str:
    """Return the pipeline's schedule by its usual name."""
    if mapping["pp"] == 1:
        return ""
    return "zero-bubble" if mapping["zero_bubble"] else ("interleaved" if mapping["virtual"] > 1 else "1F1B")


def parallelism(
    model: Annotated[str, typer.Argument(help="A model of the catalogue.")],
    accelerator: Annotated[str, typer.Option("--accelerator", help="A part of the catalogue.")] = "h100-sxm",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many accelerators.")] = 1024,
    fabric: Annotated[str | None, typer.Option("--fabric", help="Place it on this fabric instead.")] = None,
    seq: Annotated[int, typer.Option("--seq", min=1, help="Tokens of a sequence.")] = 4096,
    global_batch: Annotated[int, typer.Option("--global-batch", min=1, help="Sequences of a step.")] = 1024,
    precision: Annotated[str, typer.Option("--precision", help="bf16, fp8, mxfp8 or fp4.")] = "bf16",
    kind: Annotated[str, typer.Option("--kind", help="pretrain, finetune, lora or evaluate.")] = "pretrain",
    framework: Annotated[str, typer.Option("--framework", help="Software: what it hides and keeps.")] = "nemo",
    parallel: Annotated[
        str, typer.Option("--parallelism", help="auto, or sizes such as tp=8,pp=4 that stay as they are.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find the fastest way to spread the training of a model, and say why it is."""
    from planner.weigh.candidates import Candidates, check_pinned, parse_pinned
    from planner.weigh.search import search
    from planner.workloads.fabric_pricing import FabricPricer
    from planner.workloads.frameworks import FRAMEWORKS
    from planner.workloads.machine import machine_of_fabric, machine_of_part, used_of_domain
    from planner.workloads.model_catalogue import find_model
    from planner.workloads.training import TrainingJob
    from topologies.errors import InputError
    from topologies.parts_catalog import find_part, load_parts

    if framework not in FRAMEWORKS:
        raise InputError(what="no such framework", found=repr(framework), allowed=", ".join(FRAMEWORKS))
    job = TrainingJob(find_model(model), seq, global_batch, precision, FRAMEWORKS[framework], cast("JobKind", kind))
    pricer = None
    if fabric is None:
        machine = machine_of_part(find_part(load_parts(), accelerator, "accelerator"), gpus)
    else:
        from dataclasses import replace

        from topologies.files.fabric_file import load_fabric

        loaded = load_fabric(fabric)
        whole = machine_of_fabric(loaded)
        pricer = FabricPricer.of(loaded, gpus)
        machine = replace(whole, num_accelerators=gpus, domain=used_of_domain(gpus, whole.full_domain))
    pinned = parse_pinned(parallel)
    check_pinned(job, machine, pinned)
    told = search(job, machine, candidates=Candidates(pinned=pinned), pricer=pricer).as_dict()
    if as_json:
        print_json({"schema": "scaleplan/parallelism/1", **told})
        return
    names = ("tp", "cp", "pp", "dp", "ep", "virtual", "micro_batch", "zero", "recompute_frac", "step_s")
    print_table([*names, "schedule"], [[*(row[name] for name in names), _schedule(row)] for row in told["mappings"]])
    best = told["mappings"][0]
    print_table(["part of the step", "s"], [[k.removesuffix("_s"), v] for k, v in best["parts_s"].items() if v])
    print_table(["memory", "GiB"], [[k, v / 2**30] for k, v in best["memory_bytes"].items()])
    print_lines(
        [
            f"{told['tokens_per_s']:,.0f} tokens/s, MFU {told['mfu_frac']:.1%}; {told['legal']:,} mappings are legal, "
            f"{told['fitting']:,} fit, {told['priced']:,} were priced in full.",
            told["why"],
        ]
    )

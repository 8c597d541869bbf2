"""``scaleplan weigh`` and ``scaleplan parallelism``: which design to buy, and how to spread a model over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines, print_table, progress_line
from planner.cli.report_files import MarkdownOption, PdfOption, ReportOption, write_reports

if TYPE_CHECKING:
    from planner.report import WeighStudy

__all__ = ["register"]

_DESIGNS = "hgx-h100,hgx-b200,gb200-nvl72"
_WORKLOADS = "llama3-405b,deepseek-v3"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(weigh)
    app.command()(parallelism)


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _sizes(text: str) -> list[int]:
    from topologies.errors import InputError

    words = _list(text)
    if not words or not all(w.isascii() and w.isdigit() and int(w[:9]) >= 1 for w in words):
        raise InputError(what="not sizes", where="--sizes", found=repr(text), allowed="whole numbers with commas")
    return [int(w[:9]) for w in words]


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
    cells = run_points(
        points, journal=resume, dask=dask, say=lambda done, total: progress_line(f"weighed {done} of {total}")
    )
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
            _sweep_table([name for name, _ in varied], cells, set(front))
        return
    if as_json:
        print_json({"schema": "scaleplan/weigh/1", "cells": cells, "pareto": front, "decision": decision})
        return
    _table(cells, set(front))
    _domain_table(cells)
    print_lines(f"refused: {line}" for line in decision["refused"])
    print_lines(f"breaks a limit: {line}" for line in decision["broken"])
    if decision["tornado"]:
        print_table(
            ["what moves", "low", "high"],
            [[bar["what"], bar["low"], bar["high"]] for bar in decision["tornado"]],
            title="price of the first over the second",
        )
    print_lines([decision["answer"]])


def _schedule(mapping: dict[str, Any]) -> str:
    """Return the pipeline's schedule by its usual name."""
    if mapping["pp"] == 1:
        return ""
    return "zero-bubble" if mapping["zero_bubble"] else ("interleaved" if mapping["virtual"] > 1 else "1F1B")


def _money(cell: dict[str, Any]) -> float | str:
    return float(cell["usd_per_mtoken"]["typical"]) if cell["usd_per_mtoken"] else "–"


def _row(cell: dict[str, Any], *, on_front: bool) -> list[object]:
    if "refused" in cell:
        return ["", "", "", "", "", "", "", "", "refused"]
    m = cell["mapping"]
    spread = " ".join(
        f"{key}{m[name]}" for key, name in (("tp", "tp"), ("cp", "cp"), ("pp", "pp"), ("dp", "dp"), ("ep", "ep"))
        if m[name] > 1
    )  # fmt: skip
    mark = "breaks a limit" if cell["breaks"] else ("on it" if on_front else "")
    return [
        cell["step_s"],
        cell["mfu_frac"],
        cell["days_to_train"],
        cell["reliability"]["goodput_frac"],
        _money(cell),
        cell["power_kw"],
        cell["racks"],
        spread,
        mark,
    ]


_COLUMNS = ["step s", "MFU", "days", "goodput", "$/Mtoken", "kW", "racks", "spread", "front"]


def _table(cells: list[dict[str, Any]], front: set[int]) -> None:
    print_table(
        ["design", "workload", "size", *_COLUMNS],
        [
            [cell["design"], cell["workload"], cell["accelerators"], *_row(cell, on_front=i in front)]
            for i, cell in enumerate(cells)
        ],
    )


def _sweep_table(names: list[str], cells: list[dict[str, Any]], front: set[int]) -> None:
    shown = [name for name in names if name != "size"]
    print_table(
        ["design", "workload", "size", *shown, *_COLUMNS],
        [
            [
                cell["design"],
                cell["workload"],
                cell["accelerators"],
                *(cell["swept"].get(name, "") for name in shown),
                *_row(cell, on_front=i in front),
            ]
            for i, cell in enumerate(cells)
        ],
    )


def _domain_table(cells: list[dict[str, Any]]) -> None:
    rows = [
        [
            cell["design"],
            cell["workload"],
            cell["domain"]["enough"],
            cell["domain"].get("break_even_premium_frac", "–"),
            cell["domain"].get("nic_gbps_to_catch_up", "–") or "never",
        ]
        for cell in cells
        if "domain" in cell
    ]
    print_table(
        ["design", "workload", "gain < 1 % beyond", "premium over a domain of 8", "Gb/s a NIC that make up for it"],
        rows,
        title="what the scale-up domain is worth",
    )


def parallelism(
    model: Annotated[str, typer.Argument(help="A model of the catalogue.")],
    accelerator: Annotated[str, typer.Option("--accelerator", help="A part of the catalogue.")] = "h100-sxm",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many accelerators.")] = 1024,
    fabric: Annotated[str | None, typer.Option("--fabric", help="Place it on this fabric instead.")] = None,
    seq: Annotated[int, typer.Option("--seq", min=1, help="Tokens of a sequence.")] = 4096,
    global_batch: Annotated[int, typer.Option("--global-batch", min=1, help="Sequences of a step.")] = 1024,
    precision: Annotated[str, typer.Option("--precision", help="bf16, fp8, mxfp8 or fp4.")] = "bf16",
    parallel: Annotated[
        str, typer.Option("--parallelism", help="auto, or sizes such as tp=8,pp=4 that stay as they are.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find the fastest way to spread the training of a model, and say why it is."""
    from planner.weigh.search import Candidates, check_pinned, parse_pinned, search
    from planner.workloads.fabric_pricing import FabricPricer
    from planner.workloads.machine import machine_of_fabric, machine_of_part, used_of_domain
    from planner.workloads.model_catalogue import find_model
    from planner.workloads.training import TrainingJob
    from topologies.parts_catalog import find_part, load_parts

    job = TrainingJob(find_model(model), seq, global_batch, precision)
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

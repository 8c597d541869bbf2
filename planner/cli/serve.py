"""``scaleplan serve``: what pools of accelerators make of a trace of requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines, print_table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(serve)


def serve(
    model: Annotated[str, typer.Argument(help="A model of the catalogue.")],
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Requests: t_s,prompt_tokens,output_tokens; plain or .gz.")
    ] = None,
    accelerator: Annotated[str, typer.Option("--accelerator", help="A part of the catalogue.")] = "h100-sxm",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="Accelerators that decode, or do both.")] = 8,
    prefill_gpus: Annotated[
        int, typer.Option("--prefill-gpus", min=0, help="Accelerators of a pool of their own for prompts; 0 for none.")
    ] = 0,
    tp: Annotated[int, typer.Option("--tp", min=1, help="Tensor parallel ways of a replica.")] = 1,
    ep: Annotated[int, typer.Option("--ep", min=1, help="Expert parallel ways of a replica.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="bf16, fp8, mxfp8 or fp4.")] = "fp8",
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Tokens of a prompt, without a trace.")] = 2048,
    output: Annotated[int, typer.Option("--output-tokens", min=1, help="Tokens of an answer, without a trace.")] = 256,
    ttft_ms: Annotated[float, typer.Option("--ttft-ms", help="Longest time to the first token.")] = 2000.0,
    tpot_ms: Annotated[float, typer.Option("--tpot-ms", help="Longest time per token after it.")] = 100.0,
    as_json: JsonOption = False,
) -> None:
    """Tell what serving a model gives: rates at the limit, times under a trace, goodput and cost."""
    from planner.workloads.machine import machine_of_part
    from planner.workloads.model_catalogue import find_model
    from planner.workloads.request_trace import load_requests, replicas_of
    from planner.workloads.request_trace import serve as replay
    from planner.workloads.serving import Serving, decode_rate, prefill_tokens_per_s, weights_bytes
    from planner.workloads.serving_cost import usd_per_mtoken
    from topologies.errors import InputError
    from topologies.parts_catalog import find_part, load_parts
    from topologies.units import to_gib

    if not (0 < ttft_ms < float("inf") and 0 < tpot_ms < float("inf")):
        raise InputError(what="a time is above 0 ms", where="--ttft-ms, --tpot-ms", found=f"{ttft_ms}, {tpot_ms}")
    part = find_part(load_parts(), accelerator, "accelerator")
    serving = Serving(find_model(model), machine_of_part(part, max(gpus, tp * ep)), tp, ep, precision)
    decoders, readers = replicas_of(gpus, serving), replicas_of(prefill_gpus, serving)
    if decoders < 1 or (prefill_gpus and readers < 1):
        raise InputError(
            what="fewer accelerators than a replica takes",
            where="--gpus, --prefill-gpus",
            found=f"{gpus}, {prefill_gpus}",
            allowed=f"at least tp × ep = {tp * ep}",
        )
    told: dict[str, object] = {
        "model": model,
        "accelerator": accelerator,
        "weights_gib": to_gib(weights_bytes(serving)),
    }
    rate = decode_rate(serving, prompt + output / 2, slo_s=tpot_ms / 1e3)
    told["limit"] = {
        "prefill_tokens_per_s": prefill_tokens_per_s(serving, prompt),
        "decode_tokens_per_s": rate.tokens_per_s,
        "batch": rate.batch,
        "tpot_s": rate.step_s,
        "held_back_by": rate.bound,
    }
    if trace is not None:
        requests = load_requests(trace)
        served = replay(
            requests,
            serving,
            serving,
            prefill_replicas=readers or decoders,
            decode_replicas=decoders,
            same_pool=not readers,
            slo_s=tpot_ms / 1e3,
        )
        tokens = float((requests.prompt_tokens + requests.output_tokens).sum())
        taken = (decoders + readers) * tp * ep
        told["trace"] = {
            "requests": len(requests),
            **served.quantiles(),
            "goodput_frac": served.goodput_frac(ttft_ms / 1e3, tpot_ms / 1e3),
            "prefill_busy_frac": served.prefill_busy_frac,
            "decode_busy_frac": served.decode_busy_frac,
            "usd_per_mtoken": usd_per_mtoken(part, taken, tokens / served.duration_s),
        }
    if as_json:
        print_json({"schema": "scaleplan/serve/1", **told})
        return
    for name in ("limit", "trace"):
        rows = told.get(name)
        if isinstance(rows, dict):
            title = {"limit": "an accelerator at its limit", "trace": "under the trace"}[name]
            print_table(["figure", "value"], [[key, "–" if v is None else v] for key, v in rows.items()], title=title)
    print_lines([f"{model}: {told['weights_gib']:,.1f} GiB of weights an accelerator"])

"""``scaleplan serve``: what pools of accelerators make of a trace of requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from planner.workloads.machine import Machine
    from planner.workloads.serving import Serving
    from planner.workloads.transformer import Transformer
    from topologies.fabric import Fabric

__all__ = ["register"]

_MOST = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(serve)


def serve(
    model: Annotated[str, typer.Argument(help="A model of the catalogue.")],
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Requests: t_s,prompt_tokens,output_tokens; plain or .gz.")
    ] = None,
    accelerator: Annotated[str, typer.Option("--accelerator", help="A part of the catalogue.")] = "h100-sxm",
    fabric: Annotated[
        str | None, typer.Option("--fabric", help="Serve on this fabric instead; the cache moves over its links.")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="Accelerators that decode, or do both.")] = 8,
    prefill_gpus: Annotated[
        int, typer.Option("--prefill-gpus", min=0, help="Accelerators of a pool of their own for prompts; 0 for none.")
    ] = 0,
    tp: Annotated[int, typer.Option("--tp", min=1, help="Tensor parallel ways of a replica.")] = 1,
    ep: Annotated[int, typer.Option("--ep", min=1, help="Expert parallel ways of a replica.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="bf16, fp8, mxfp8 or fp4.")] = "fp8",
    pool: Annotated[
        str | None,
        typer.Option("--pool", help="Unlike accelerators instead: PART:COUNT[:tpN][:epN], with commas between them."),
    ] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="With --pool: one replica over all of it, layers by bandwidth.")
    ] = False,
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
    from topologies.units import to_gb_per_s, to_gib

    if not (0 < ttft_ms < float("inf") and 0 < tpot_ms < float("inf")):
        raise InputError(what="a time is above 0 ms", where="--ttft-ms, --tpot-ms", found=f"{ttft_ms}, {tpot_ms}")
    if pool is not None:
        _serve_pool(model, pool, cut=cut, precision=precision, prompt=prompt, output=output, trace=trace,
                    ttft_s=ttft_ms / 1e3, tpot_s=tpot_ms / 1e3, as_json=as_json)  # fmt: skip
        return
    if cut:
        raise InputError(what="--cut goes with --pool", where="--cut", found="no --pool")
    if fabric is None:
        part = find_part(load_parts(), accelerator, "accelerator")
        machine = machine_of_part(part, max(gpus, tp * ep))
    else:
        loaded, machine = _on_fabric(fabric, gpus, prefill_gpus, tp * ep)
        part = machine.part
    serving = Serving(find_model(model), machine, tp, ep, precision)
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
        cache_rate = None
        if fabric is not None and readers:
            cache_rate = _cache_bytes_per_s(loaded, serving, gpus, prefill_gpus, float(requests.prompt_tokens.mean()))
            told["cache_gb_per_s"] = to_gb_per_s(cache_rate)
        served = replay(
            requests,
            serving,
            serving,
            prefill_replicas=readers or decoders,
            decode_replicas=decoders,
            same_pool=not readers,
            slo_s=tpot_ms / 1e3,
            cache_bytes_per_s=cache_rate,
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
            print_table(["figure", "value"], [[key, _told(v)] for key, v in rows.items()], title=title)
    if "cache_gb_per_s" in told:
        print_lines([f"the cache of a request moves at {told['cache_gb_per_s']:,.1f} GB/s over the fabric's links"])
    print_lines([f"{model}: {told['weights_gib']:,.1f} GiB of weights an accelerator"])


def _on_fabric(name: str, gpus: int, prefill_gpus: int, width: int) -> tuple[Fabric, Machine]:
    """Return a fabric, and the machine of the accelerators that decode on it."""
    from dataclasses import replace

    from planner.workloads.machine import machine_of_fabric, used_of_domain
    from topologies.errors import InputError
    from topologies.files.fabric_file import load_fabric

    loaded = load_fabric(name)
    if gpus + prefill_gpus > loaded.num_accelerators:
        raise InputError(
            what="more accelerators than the fabric has",
            where="--gpus, --prefill-gpus",
            found=gpus + prefill_gpus,
            allowed=f"{loaded.num_accelerators:,}",
        )
    whole = machine_of_fabric(loaded)
    count = max(gpus, width)
    return loaded, replace(whole, num_accelerators=count, domain=used_of_domain(count, whole.full_domain))


def _cache_bytes_per_s(fabric: Fabric, serving: Serving, gpus: int, prefill_gpus: int, prompt_tokens: float) -> float:
    """Return the rate at which one request's cache moves, all pairs of accelerators of the two pools at once.

    Each accelerator that reads prompts sends to the one as far behind it as the pool is large.
    """
    import numpy as np

    from planner.workloads.fabric_pricing import FabricPricer
    from planner.workloads.serving import kv_bytes_a_token

    step = min(prefill_gpus, gpus)
    pricer = FabricPricer.of(fabric, step * 2)
    size = prompt_tokens * kv_bytes_a_token(serving)
    time = float(pricer.time_s("send-recv", np.full(1, 2.0), np.full(1, float(step)), np.full(1, size))[0])
    return size * serving.tp / time


def _told(value: object) -> object:
    """Return a figure as a cell: a price as low, typical and high."""
    if isinstance(value, dict):
        return " / ".join(f"{number:,.3g}" for number in value.values())
    return "–" if value is None else value


def _serving_of(model: Transformer, text: str, precision: str) -> tuple[Serving, int]:
    """Read ``PART:COUNT[:tpN][:epN]``: how a replica serves, and how many accelerators there are."""
    from planner.workloads.machine import machine_of_part
    from planner.workloads.serving import Serving
    from topologies.errors import InputError
    from topologies.parts_catalog import find_part, load_parts

    name, *rest = (word.strip() for word in text.split(":"))
    ways = {"tp": 1, "ep": 1}
    count = 0
    for i, word in enumerate(rest):
        number = word if i == 0 else word[2:]
        if (
            not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= _MOST)
            or (i > 0 and word[:2] not in ways)
            or len(rest) > 3
        ):
            raise InputError(
                what="not a member of a pool", where="--pool", found=repr(text), allowed="PART:COUNT[:tpN][:epN]"
            )
        if i == 0:
            count = int(number)
        else:
            ways[word[:2]] = int(number)
    if not count:
        raise InputError(
            what="not a member of a pool", where="--pool", found=repr(text), allowed="PART:COUNT[:tpN][:epN]"
        )
    machine = machine_of_part(find_part(load_parts(), name, "accelerator"), max(count, ways["tp"] * ways["ep"]))
    # What an accelerator does not compute in, it serves in bf16.
    used = precision if precision in machine.peak_flops_per_s else "bf16"
    return Serving(model, machine, ways["tp"], ways["ep"], used), count


def _serve_pool(
    model: str,
    text: str,
    *,
    cut: bool,
    precision: str,
    prompt: int,
    output: int,
    trace: Path | None,
    ttft_s: float,
    tpot_s: float,
    as_json: bool,
) -> None:
    from planner.workloads.generations import PRECISIONS
    from planner.workloads.model_catalogue import find_model
    from planner.workloads.request_trace import load_requests, replicas_of, serve_unlike
    from planner.workloads.unlike import cut_layers, pool_of
    from topologies.errors import InputError

    if precision not in PRECISIONS:
        raise InputError(what="no such precision", found=repr(precision), allowed=", ".join(PRECISIONS))
    words = [word.strip() for word in text.split(",") if word.strip()]
    members = [_serving_of(find_model(model), word, precision) for word in words]
    short = next((word for word, (s, count) in zip(words, members, strict=True) if count < s.tp * s.ep), None)
    if short is not None:
        raise InputError(
            what="fewer accelerators than a replica takes",
            where="--pool",
            found=repr(short),
            allowed="a count of at least tp × ep",
        )
    requests = load_requests(trace) if trace is not None else None
    if requests is not None:
        prompt = max(1, round(float(requests.prompt_tokens.mean())))
        output = max(1, round(float(requests.output_tokens.mean())))
    context = prompt + output / 2
    told: dict[str, object] = {"schema": "scaleplan/serve/1", "model": model}
    if cut:
        devices = [serving for serving, count in members for _ in range(replicas_of(count, serving))]
        found = cut_layers(devices, context, slo_s=tpot_s)
        rows = [
            [device.machine.part.id, device.precision, device.tp, layers, by_capacity]
            for device, layers, by_capacity in zip(devices, found.layers, found.layers_by_capacity, strict=True)
        ]
        told["cut"] = {
            "devices": [
                dict(zip(("part", "precision", "tp", "layers", "layers_by_capacity"), row, strict=True)) for row in rows
            ],
            "batch": found.batch,
            "tpot_s": found.tpot_s,
            "tokens_per_s": found.tokens_per_s,
            "tokens_per_s_by_capacity": found.tokens_per_s_by_capacity,
        }
        if as_json:
            print_json(told)
            return
        print_table(["device", "precision", "tp", "layers", "layers by capacity"], rows, title="one replica over all")
        print_lines(
            [
                f"{found.tokens_per_s:,.0f} tokens/s at {found.tpot_s * 1e3:,.1f} ms a token, {found.batch} sequences "
                f"a micro-batch; {found.tokens_per_s_by_capacity:,.0f} tokens/s if layers were shared out by capacity."
            ]
        )
        return
    pool = pool_of(
        [(serving, replicas_of(count, serving)) for serving, count in members], prompt, context, slo_s=tpot_s
    )
    told["pool"] = {
        "members": [
            {
                "part": member.serving.machine.part.id,
                "precision": member.serving.precision,
                "tp": member.serving.tp,
                "ep": member.serving.ep,
                "replicas": member.replicas,
                "batch": member.rate.batch if member.rate else None,
                "tpot_s": member.rate.step_s if member.rate else None,
                "tokens_per_s": member.tokens_per_s,
                "prefill_tokens_per_s": member.prefill_tokens_per_s,
                "share_frac": share,
                "share_by_capacity_frac": by_capacity,
                "refused": member.refused,
            }
            for member, share, by_capacity in zip(pool.members, pool.shares, pool.shares_by_capacity, strict=True)
        ],
        "tokens_per_s": pool.tokens_per_s,
        "tokens_per_s_by_capacity": pool.tokens_per_s_by_capacity,
    }
    if requests is not None:
        for name, shares in (("trace", pool.shares), ("trace_by_capacity", pool.shares_by_capacity)):
            served = serve_unlike(requests, pool, shares=shares, slo_s=tpot_s)
            told[name] = {
                "requests": len(requests),
                **served.quantiles(),
                "goodput_frac": served.goodput_frac(ttft_s, tpot_s),
            }
    if as_json:
        print_json(told)
        return
    print_table(
        ["replicas of", "precision", "replicas", "batch", "ms a token", "tokens/s", "share", "by capacity"],
        [
            [
                member.name,
                member.serving.precision,
                member.replicas,
                member.rate.batch if member.rate else "–",
                member.rate.step_s * 1e3 if member.rate else "–",
                member.tokens_per_s,
                share,
                by_capacity,
            ]
            for member, share, by_capacity in zip(pool.members, pool.shares, pool.shares_by_capacity, strict=True)
        ],
        title="unlike replicas, requests shared out by what each decodes",
    )
    for name, title in (("trace", "under the trace"), ("trace_by_capacity", "the same, shared out by capacity")):
        rows_of = told.get(name)
        if isinstance(rows_of, dict):
            print_table(["figure", "value"], [[key, value] for key, value in rows_of.items()], title=title)
    print_lines(f"left out, {member.name}: {member.refused}" for member in pool.members if member.refused)
    print_lines(
        [
            f"{pool.tokens_per_s:,.0f} tokens/s in all; {pool.tokens_per_s_by_capacity:,.0f} if requests were shared "
            "out by the memory for caches."
        ]
    )

"""Serving: hand-worked memory and rates, and requests replayed on pools."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.workloads.model_catalogue import find_model
from planner.workloads.request_trace import Requests, load_requests, replicas_of, serve, weighted_shares
from planner.workloads.serving import Serving, decode_rate, kv_bytes_a_token, prefill_tokens_per_s, weights_bytes
from planner.workloads.serving_cost import usd_per_mtoken
from tests.planner.workloads.machines import machine
from topologies.errors import InfeasibleError, InputError
from topologies.parts_catalog import load_parts


def serving(model: str = "llama3-8b", part: str = "h100-sxm", tp: int = 1, ep: int = 1, count: int = 8) -> Serving:
    return Serving(find_model(model), machine(part, count), tp, ep)


def requests(arrivals: list[float], prompt: float = 1000, output: float = 100) -> Requests:
    count = len(arrivals)
    return Requests(np.array(arrivals), np.full(count, prompt), np.full(count, output), np.zeros(count))


def test_cache_and_weights_by_hand() -> None:
    # Llama 3 8B: 32 layers × 2 × 8 heads × 128 × 2 bytes; DeepSeek-V3: 61 × (512 + 64) × 2, on every rank.
    assert kv_bytes_a_token(serving()) == 32 * 2 * 8 * 128 * 2
    assert kv_bytes_a_token(serving(tp=4)) == 32 * 2 * 2 * 128 * 2
    assert kv_bytes_a_token(serving("deepseek-v3", tp=8, ep=8)) == 61 * 576 * 2
    model = find_model("llama3-8b")
    assert weights_bytes(serving()) == model.params - model.embedding_params + 2 * model.embedding_params


def test_decoding_one_sequence_reads_the_weights_once() -> None:
    one = decode_rate(serving(), 100, slo_s=0.2)
    assert one.batch > 100
    alone = weights_bytes(serving()) / (3350e9 * 0.92)
    from planner.workloads.serving import decode_step_s

    assert alone < decode_step_s(serving(), 1, 100) < 1.6 * alone


def test_a_longer_context_or_a_shorter_time_makes_smaller_batches() -> None:
    base = decode_rate(serving(), 2000, slo_s=0.05)
    assert decode_rate(serving(), 8000, slo_s=0.05).batch < base.batch
    tight = decode_rate(serving(), 2000, slo_s=0.012)
    assert tight.batch < base.batch
    assert tight.step_s <= 0.012
    assert tight.bound == "time per token"


def test_what_is_cached_is_not_computed() -> None:
    assert prefill_tokens_per_s(serving(), 4000, cached_frac=0.5) > 1.8 * prefill_tokens_per_s(serving(), 4000)


def test_what_cannot_be_served_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="weights do not fit"):
        prefill_tokens_per_s(serving("deepseek-v3", ep=4), 1000)
    with pytest.raises(InputError, match="cannot be served so"):
        serving(ep=2)
    with pytest.raises(InfeasibleError, match="not even one sequence"):
        decode_rate(serving(), 1000, slo_s=1e-4)
    with pytest.raises(InputError, match="does not compute"):
        serving(part="a100-sxm-80g")


def test_a_lone_request_waits_for_nothing() -> None:
    way = serving()
    told = serve(requests([0.0]), way, way, prefill_replicas=1, decode_replicas=1)
    read_s = 1000 / prefill_tokens_per_s(way, 1000)
    moved_s = 1000 * kv_bytes_a_token(way) / (50e9 * 0.84)
    assert told.ttft_s[0] == pytest.approx(read_s + moved_s + told.tpot_s[0], rel=1e-6)


def test_requests_at_once_queue_for_the_prefill() -> None:
    way = serving()
    told = serve(requests([0.0] * 10), way, way, prefill_replicas=1, decode_replicas=1)
    more = serve(requests([0.0] * 10), way, way, prefill_replicas=10, decode_replicas=1)
    assert (np.diff(told.ttft_s) > 0).all()
    assert more.ttft_s.max() < 0.3 * told.ttft_s.max()
    assert told.goodput_frac(1e-9, 1.0) == 0
    assert told.goodput_frac(1e9, 1e9) == 1


def test_decoding_slows_in_a_pool_that_also_reads_prompts() -> None:
    way = serving()
    load = requests(np.linspace(0, 1, 40).tolist(), prompt=4000)
    shared = serve(load, way, way, prefill_replicas=1, decode_replicas=1, same_pool=True)
    apart = serve(load, way, way, prefill_replicas=1, decode_replicas=1)
    assert shared.tpot_s.mean() > apart.tpot_s.mean()


def test_a_trace_file(tmp_path: Path) -> None:
    text = "t_s,prompt_tokens,output_tokens,prefix_hit_blocks\n0,1000,10,1\n2.5,300,5,1\n"
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "trace.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("trace.csv", "trace.csv.gz"):
        read = load_requests(tmp_path / name)
        assert read.arrival_s.tolist() == [0, 2.5]
        assert read.cached_tokens.tolist() == [512, 299]  # at least one token of a prompt is new


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n", "not a trace"),
        ("t_s,prompt_tokens,output_tokens\n", "without requests"),
        ("t_s,prompt_tokens,output_tokens\n5,10,1\n4,10,1\n", "trace.csv:3: requests out of order"),
        ("t_s,prompt_tokens,output_tokens\n5,x,1\n", "trace.csv:2: a request with a value that is no number"),
        ("t_s,prompt_tokens,output_tokens\n5,0,1\n", "out of range"),
        ("t_s,prompt_tokens,output_tokens\nnan,1,1\n", "out of range"),
    ],
)
def test_a_bad_trace_is_one_clear_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=match):
        load_requests(path)


def test_unlike_replicas_share_by_their_rates() -> None:
    # An H200 decodes at the bandwidth of 4.8 TB/s, an H100 at 3.35: 100 requests split 59 to 41.
    assert weighted_shares([4.8, 3.35], 100) == [59, 41]
    assert sum(weighted_shares([1, 1, 1], 100)) == 100


def test_replicas_and_price() -> None:
    assert replicas_of(17, serving(tp=4)) == 4
    part = load_parts()["h100-sxm"]
    price = usd_per_mtoken(part, 8, 1000.0)
    assert price is not None
    assert price["low"] == pytest.approx(1.99 * 8 / 3.6)
    assert usd_per_mtoken(replace(part, values={}), 8, 1.0) is None

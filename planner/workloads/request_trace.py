"""Replays a trace of requests on pools of accelerators: time to first token, time per output token, goodput, cost."""

from __future__ import annotations

import csv
import heapq
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.workloads.serving import Serving, decode_rate, decode_step_s, kv_bytes_a_token, prefill_tokens_per_s
from planner.workloads.unlike import Pool
from topologies.errors import InputError
from topologies.files.reading import read_text

__all__ = ["Requests", "Served", "load_requests", "replicas_of", "serve", "serve_unlike", "weighted_shares"]

_Floats = npt.NDArray[np.float64]
_BLOCK_TOKENS = 512
_MOST_BYTES = 512 * 2**20
_COLUMNS = ("t_s", "prompt_tokens", "output_tokens")


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests in the order of their arrival; arrays are read-only, each ``(R,)``.

    Attributes
    ----------
    arrival_s, prompt_tokens, output_tokens
        What came when.
    cached_tokens
        First tokens of the prompt that were seen before.
    """

    arrival_s: _Floats
    prompt_tokens: _Floats
    output_tokens: _Floats
    cached_tokens: _Floats

    def __post_init__(self) -> None:
        for array in (self.arrival_s, self.prompt_tokens, self.output_tokens, self.cached_tokens):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.arrival_s)


def load_requests(path: str | os.PathLike[str]) -> Requests:
    """Read ``t_s,prompt_tokens,output_tokens`` and, where there is one, ``prefix_hit_blocks`` of 512 tokens.

    Raises
    ------
    InputError
        If the file is no such trace, a value is out of range, or the requests are out of order.
    """
    if str(path).endswith(".gz"):
        import gzip
        from pathlib import Path

        try:
            text = gzip.decompress(Path(path).read_bytes()).decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise InputError(what="cannot read the trace", where=path, found=error) from error
    else:
        text = read_text(path, max_bytes=_MOST_BYTES)
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            what="not a trace of requests", where=path, found=", ".join(reader.fieldnames or ()) or "nothing",
            allowed=f"columns {', '.join(_COLUMNS)}",
        )  # fmt: skip
    rows: list[tuple[float, float, float, float]] = []
    for row in reader:
        where = f"{path}:{reader.line_num}"
        try:
            t, prompt, output = (float(row[column]) for column in _COLUMNS)
            hit = float(row.get("prefix_hit_blocks") or 0) * _BLOCK_TOKENS
        except (TypeError, ValueError) as error:
            raise InputError(what="a request with a value that is no number", where=where, found=dict(row)) from error
        if not (t >= 0 and prompt >= 1 and output >= 0 and hit >= 0 and max(t, prompt, output) < 1e12):
            raise InputError(
                what="a request out of range", where=where, found=dict(row), allowed="prompts of 1 token or more"
            )
        if rows and t < rows[-1][0]:
            raise InputError(
                what="requests out of order",
                where=where,
                found=f"{t} s after {rows[-1][0]} s",
                fix="sort the trace by t_s",
            )
        rows.append((t, prompt, output, min(hit, prompt - 1)))
    if not rows:
        raise InputError(what="a trace without requests", where=path)
    columns = np.array(rows).T
    return Requests(*(np.ascontiguousarray(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Served:
    """What became of the requests.

    Attributes
    ----------
    ttft_s, tpot_s
        ``(R,)`` time to the first token, and per token after it.
    prefill_busy_frac, decode_busy_frac
        Part of the time that the pools are at work.
    duration_s
        From the first arrival to the last token.
    """

    ttft_s: _Floats
    tpot_s: _Floats
    prefill_busy_frac: float
    decode_busy_frac: float
    duration_s: float

    def goodput_frac(self, ttft_slo_s: float, tpot_slo_s: float) -> float:
        """Return the part of the requests within both times."""
        return float(np.mean((self.ttft_s <= ttft_slo_s) & (self.tpot_s <= tpot_slo_s)))

    def quantiles(self) -> dict[str, float]:
        """Return median and 99 % quantile of both times."""
        out = {}
        for name, values in (("ttft", self.ttft_s), ("tpot", self.tpot_s)):
            for q in (0.5, 0.99):
                out[f"{name}_p{round(100 * q)}_s"] = float(np.quantile(values, q))
        return out


def serve(
    requests: Requests,
    prefill: Serving,
    decode: Serving,
    *,
    prefill_replicas: int,
    decode_replicas: int,
    same_pool: bool = False,
    slo_s: float = 0.1,
    cache_bytes_per_s: float | None = None,
) -> Served:
    """Replay requests on pools of replicas.

    A replica is `tp` · `ep` accelerators at work together. Prefill takes requests as they come, each replica one chunk
    after another. Between pools the cache moves over the decoding replica's NICs. Decoding is continuous: a request's
    time per token is that of the batch it finds, evenly spread over replicas.

    Parameters
    ----------
    requests
        What comes.
    prefill, decode
        How a replica of each pool serves.
    prefill_replicas, decode_replicas
        How many there are; with `same_pool` each is one of `decode_replicas` that does both, in turns.
    slo_s
        Longest time per output token that batches are held to.
    cache_bytes_per_s
        Rate at which the cache of one request moves between the pools; that of the decoding replica's NICs if ``None``.

    Raises
    ------
    InputError
        If a pool has no replica.
    InfeasibleError
        If the model fits on none.
    """
    if prefill_replicas < 1 or decode_replicas < 1:
        raise InputError(what="a pool without replicas", found=f"{prefill_replicas} prefill, {decode_replicas} decode")
    speed = _prefill_speed(prefill, requests)
    context = float(np.mean(requests.prompt_tokens + requests.output_tokens / 2))
    best = decode_rate(decode, context, slo_s=slo_s)
    width = decode.tp * decode.ep
    batches = np.unique(np.geomspace(1, max(1, best.batch), 24).astype(np.int64))
    steps = np.array([decode_step_s(decode, int(b), context) for b in batches])
    ready_s, busy_prefill = _prefill_times(requests, speed, prefill, prefill_replicas)
    moved_s = np.zeros(len(requests))
    if not same_pool:
        nics = decode.machine.nic_bytes_per_s * decode.machine.efficiency.pair_frac * decode.tp
        rate = nics if cache_bytes_per_s is None else cache_bytes_per_s
        moved_s = requests.prompt_tokens * kv_bytes_a_token(decode) * decode.tp / rate
    slots = best.batch * decode.ep * decode_replicas
    share = busy_prefill if same_pool else 0.0
    start, tpot, end, busy_decode = _decode_times(requests, ready_s + moved_s, batches, steps, slots, width, share,
                                                  decode_replicas * decode.ep)  # fmt: skip
    return Served(
        ttft_s=start + tpot - requests.arrival_s,
        tpot_s=tpot,
        prefill_busy_frac=min(1.0, busy_prefill),
        decode_busy_frac=busy_decode,
        duration_s=float(end.max() - requests.arrival_s[0]),
    )


def _prefill_speed(prefill: Serving, requests: Requests) -> _Floats:
    """Return fresh tokens a second of one replica for each request, by the length of its prompt."""
    fresh = requests.prompt_tokens - requests.cached_tokens
    grid = np.unique(np.geomspace(max(1.0, fresh.min()), fresh.max(), 12).round())
    rates = np.array([prefill_tokens_per_s(prefill, int(n)) for n in grid]) * prefill.tp * prefill.ep
    result: _Floats = np.interp(fresh, grid, rates)
    return result


def _prefill_times(requests: Requests, speed: _Floats, prefill: Serving, replicas: int) -> tuple[_Floats, float]:
    """Return when each prompt is read, first come first served, and how busy the replicas are."""
    # Ranks of experts take prompts of their own: each is a server with its part of the replica's speed.
    servers = replicas * prefill.ep
    service = (requests.prompt_tokens - requests.cached_tokens) / (speed / prefill.ep)
    free = [0.0] * servers
    ready = np.empty(len(requests))
    for i, (arrival, time) in enumerate(zip(requests.arrival_s.tolist(), service.tolist(), strict=True)):
        ready[i] = max(arrival, free[0]) + time
        heapq.heapreplace(free, ready[i])
    span = max(float(ready.max() - requests.arrival_s[0]), 1e-9)
    return ready, float(service.sum()) / servers / span


def _decode_times(
    requests: Requests,
    ready_s: _Floats,
    batches: npt.NDArray[np.int64],
    steps: _Floats,
    slots: int,
    width: int,
    prefill_share: float,
    servers: int,
) -> tuple[_Floats, _Floats, _Floats, float]:
    """Return start, time per token and end of each request's decoding, and how full the slots are on average."""
    order = np.argsort(ready_s, kind="stable")
    start, tpot, end = (np.empty(len(ready_s)) for _ in range(3))
    running: list[float] = []
    slow = 1.0 / max(1.0 - prefill_share, 0.05)
    held = 0.0
    for i in order.tolist():
        now = float(ready_s[i])
        while running and running[0] <= now:
            heapq.heappop(running)
        if len(running) >= slots:
            now = heapq.heappop(running)
        batch = (len(running) + 1) / servers
        each = float(np.interp(batch, batches, steps)) * slow
        tokens = max(float(requests.output_tokens[i]), 1.0)
        start[i], tpot[i], end[i] = now, each, now + each * tokens
        held += each * tokens
        heapq.heappush(running, float(end[i]))
    span = max(float(end.max() - requests.arrival_s[0]), 1e-9)
    return start, tpot, end, min(1.0, held / span / slots)


def replicas_of(count: int, serving: Serving) -> int:
    """Return how many replicas that many accelerators make."""
    return count // (serving.tp * serving.ep)


def serve_unlike(
    requests: Requests, pool: Pool, *, shares: Sequence[float] | None = None, slo_s: float = 0.1
) -> Served:
    """Replay requests on unlike replicas, each of which prefills and decodes.

    Requests go to members in turns, so that each has had its share at any time (the member furthest behind its share is
    next), and within a member to any replica.

    Parameters
    ----------
    requests
        What comes.
    pool
        The replicas.
    shares
        Part of the requests for each member; the pool's own, by what each decodes, if ``None``.
    slo_s
        Longest time per output token that batches are held to.

    Raises
    ------
    InfeasibleError
        If a member with a share cannot serve the model.
    """
    wanted = np.asarray(pool.shares if shares is None else shares, np.float64)
    member_of = _in_turns(wanted / wanted.sum(), len(requests))
    ttft, tpot = np.zeros(len(requests)), np.zeros(len(requests))
    busy, duration = 0.0, 0.0
    for i, member in enumerate(pool.members):
        rows = np.flatnonzero(member_of == i)
        if not len(rows):
            continue
        own = Requests(
            requests.arrival_s[rows].copy(),
            requests.prompt_tokens[rows].copy(),
            requests.output_tokens[rows].copy(),
            requests.cached_tokens[rows].copy(),
        )
        told = serve(
            own, member.serving, member.serving, prefill_replicas=member.replicas, decode_replicas=member.replicas,
            same_pool=True, slo_s=slo_s,
        )  # fmt: skip
        ttft[rows], tpot[rows] = told.ttft_s, told.tpot_s
        busy = max(busy, told.decode_busy_frac)
        duration = max(duration, float(own.arrival_s[0] - requests.arrival_s[0]) + told.duration_s)
    return Served(ttft, tpot, busy, busy, duration)


def _in_turns(shares: _Floats, count: int) -> npt.NDArray[np.int64]:
    """Return which member each request goes to."""
    given = np.zeros(len(shares))
    member = np.empty(count, np.int64)
    for i in range(count):
        member[i] = int(np.argmax(shares * (i + 1) - given))
        given[member[i]] += 1
    return member


def weighted_shares(rates: Sequence[float], total: int) -> list[int]:
    """Split `total` requests over unlike replicas by their rates, whole numbers that add up (largest remainders)."""
    weights = np.asarray(rates, np.float64)
    exact = weights / weights.sum() * total
    shares = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - shares), kind="stable")[: total - int(shares.sum())]
    shares[rest] += 1
    return [int(share) for share in shares]

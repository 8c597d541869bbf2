"""Suite ``netns``: real all-reduces over TCP on shaped links, alone and beside other jobs.

``netns/fabrics.json``: for each fabric its links ``[from, to, bit/s of shaped bytes]`` and the next hops of every host
and switch. ``netns/allreduce.csv``, a job a row; ``n_jobs`` rows that follow each other ran together. Times are from
start to start of a round, pauses included.

The model knows routes and rates and nothing of the rows: rings run at one rate, all-to-all flow by flow, exchanges
by halving and doubling stage by stage; shares are max-min. Its band (`planner.congestion.bands`) comes from the kind of
queue; for an all-to-all also from its unknown order of messages, as any order that leaves no pair idle for nothing ends
within ``2 − 1/(p − 1)`` of the best (open-shop bound; Bárány & Fiala 1982). To it comes, as a floor, what the same
model misses for 90 % of the jobs that run *alone* in the same data: how well such a measurement repeats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from planner.congestion.bands import Band, Queue, steady_band
from planner.congestion.events import Program, run_events
from planner.congestion.incidence import Incidence
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from topologies.errors import InputError
from topologies.routing.rows import Float64s

__all__ = ["SUITE"]

_FABRICS, _ROWS = "netns/fabrics.json", "netns/allreduce.csv"

# MTU 9000 less IP (20), TCP (20) and timestamps (12), over the shaped frame with its Ethernet header (14).
_PAYLOAD_FRAC = (9000 - 20 - 20 - 12) / (9000 + 14)
_BITS_A_BYTE = 8
_QUEUES: MappingProxyType[str, Queue] = MappingProxyType({"fq": "fair", "fifo": "fifo"})
_RINGS = ("ring", "bidir")
_ALL_TO_ALL = "a2a"


class _Net:
    """One fabric: capacities of its links, and the way of each flow along the next hops."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        try:
            self._link = {(str(a), str(b)): i for i, (a, b, _) in enumerate(spec["links"])}
            rate = np.array([float(bits) for _, _, bits in spec["links"]])
            self._next = {str(n): {str(d): list(via) for d, via in t.items()} for n, t in spec["next_hops"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(what="malformed fabric", where=f"{_FABRICS}: {name}", found=repr(error)) from error
        if not (rate.size and np.all(rate > 0) and np.all(np.isfinite(rate))):
            raise InputError(what="a link without a positive rate", where=f"{_FABRICS}: {name}")
        self.capacity: Float64s = rate / _BITS_A_BYTE * _PAYLOAD_FRAC

    def shares(self, source: str, target: str) -> dict[int, float]:
        """Links of a flow and the share on each: an even split where a table names several next hops."""
        found: dict[int, float] = {}
        front = {source: 1.0}
        for _ in range(len(self._next) + 1):
            ahead: dict[str, float] = {}
            for node, share in front.items():
                table = self._next.get(node, {})
                hops = table.get(target) or table.get("*") or []
                for hop in hops:
                    link = self._link.get((node, hop))
                    if link is None:
                        raise self._lost(source, target, f"no link {node} to {hop}")
                    found[link] = found.get(link, 0.0) + share / len(hops)
                    if hop != target:
                        ahead[hop] = ahead.get(hop, 0.0) + share / len(hops)
                if not hops:
                    raise self._lost(source, target, f"no next hop at {node}")
            if not ahead:
                return found
            front = ahead
        raise self._lost(source, target, "next hops lead in a circle")

    def _lost(self, source: str, target: str, why: str) -> InputError:
        return InputError(what=f"no way from {source!r} to {target!r}", where=f"{_FABRICS}: {self.name}", found=why)


@dataclass(frozen=True)
class _Move:
    """Flows that move at one rate: ends and bytes of each, and their place in the round."""

    ends: Sequence[tuple[str, str]]
    size_bytes: float
    stage: int = 0


def _moves(row: Row) -> list[_Move] | None:
    """Return what a job sends in a round; None if its algorithm has no model here."""
    hosts = [f"h{number}" for number in row.text("order").split()]
    p, size, algo = len(hosts), row.number("size_bytes", minimum=0), row.text("algo")
    if p < 2 or p != row.integer("ranks"):
        raise InputError(what="order and ranks differ", where=row.where, found=row.text("order"))
    step = row.integer("ring_dir", minimum=-1) if row.text("ring_dir") else 1

    def ring(direction: int) -> list[tuple[str, str]]:
        return [(hosts[i], hosts[(i + direction) % p]) for i in range(p)]

    if algo == "ring":
        return [_Move(ring(step), 2 * (p - 1) / p * size)]
    if algo == "bidir":
        return [_Move(ring(1) + ring(-1), (p - 1) / p * size)]
    if algo == _ALL_TO_ALL:
        return [_Move([(a, b)], size / p) for a in hosts for b in hosts if a != b]
    if p & (p - 1) or algo not in ("rhd", "mpi_rd"):
        return None
    levels = range(p.bit_length() - 1)
    partners = [[(hosts[i], hosts[i ^ (1 << k)]) for i in range(p)] for k in levels]
    if algo == "mpi_rd":  # recursive doubling: the whole buffer with every partner
        return [_Move(ends, size, k) for k, ends in enumerate(partners)]
    down = [_Move(partners[k], size / 2 ** (k + 1), k) for k in levels]  # halving, then doubling back
    return down + [_Move(m.ends, m.size_bytes, 2 * len(down) - 1 - m.stage) for m in reversed(down)]


@dataclass(frozen=True)
class _Group:
    """Jobs that ran together."""

    rows: Sequence[Row]
    moves: Sequence[Sequence[_Move]]
    net: _Net

    @property
    def name(self) -> str:
        first = self.rows[0]
        return f"{first.text('case')} {first.text('queue')} {first.text('fabric')}"

    def setting(self, jobs: Sequence[int]) -> tuple[Incidence, Program]:
        """Rows × links and program of some of the jobs, one round each."""
        triples: list[tuple[int, int, float]] = []
        job: list[int] = []
        moves: list[_Move] = []
        for place, j in enumerate(jobs):
            for move in self.moves[j]:
                for a, b in move.ends:
                    triples += [(len(moves), link, share) for link, share in self.net.shares(a, b).items()]
                moves.append(move)
                job.append(place)
        row, link, share = zip(*triples, strict=True)
        incidence = Incidence.from_entries(row, link, share, num_rows=len(moves), num_links=self.net.capacity.size)
        program = Program.of(
            [m.size_bytes for m in moves],
            row_job=job,
            row_stage=[m.stage for m in moves],
            compute_s=[self.rows[j].number("gap_s", minimum=0) for j in jobs],
            num_jobs=len(jobs),
        )
        return incidence, program

    def alone_s(self, job: int) -> float:
        """Predicted time of a job with nobody else there."""
        incidence, program = self.setting([job])
        return float(run_events(incidence, self.net.capacity, program).finish_s[0])

    def together(self) -> Band:
        """Predicted times of all jobs, round after round, with their bands."""
        incidence, program = self.setting(range(len(self.rows)))
        band = steady_band(incidence, self.net.capacity, program, _QUEUES[self.rows[0].choice("queue", list(_QUEUES))])
        slack = np.array([_order_slack(row) for row in self.rows])
        return Band(band.time_s, band.low_s, band.high_s * slack)


def _order_slack(row: Row) -> float:
    """How much longer an all-to-all may take for the order of its messages."""
    return 2.0 - 1.0 / (row.integer("ranks") - 1) if row.text("algo") == _ALL_TO_ALL else 1.0


def _groups(data: DataDir) -> list[_Group]:
    """Read the rows, those that ran together in one group; jobs without a model have no moves."""
    fabrics = data.json(_FABRICS)
    if not isinstance(fabrics, dict):
        raise InputError(what="not an object of named fabrics", where=_FABRICS)
    nets: dict[str, _Net] = {}
    rows = data.rows(_ROWS)
    groups: list[_Group] = []
    while rows:
        count = rows[0].integer("n_jobs", minimum=1)
        mine, rows = rows[:count], rows[count:]
        if [row.integer("job") for row in mine] != list(range(count)):
            raise InputError(what="the jobs of a case do not follow each other", where=mine[0].where)
        name = mine[0].text("fabric")
        if name not in fabrics:
            raise InputError(what="unknown fabric", where=mine[0].where, found=repr(name), allowed=", ".join(fabrics))
        net = nets.setdefault(name, _Net(name, fabrics[name]))
        groups.append(_Group(mine, [_moves(row) or [] for row in mine], net))
    return groups


def _case_name(group: _Group, row: Row) -> str:
    return f"{group.name} job {row.integer('job')} {row.text('lib')} {row.text('algo')}"


def _alone(groups: Sequence[_Group]) -> list[Case]:
    cases = []
    for group in groups:
        for j, row in enumerate(group.rows):
            measured = row.optional("t_iso_s", minimum=0)
            if measured is None:
                continue
            name = _case_name(group, row)
            if not group.moves[j]:
                cases.append(
                    Case(name, "alone", measured, unit="s", counts=False, why_not="no model of this algorithm")
                )
                continue
            predicted = group.alone_s(j) + row.number("gap_s", minimum=0)
            cases.append(Case.of_figures(name, "alone", measured, predicted, "s"))
    return cases


def _contended(groups: Sequence[_Group], floor_frac: float) -> list[Case]:
    cases = []
    for group in groups:
        if all(row.optional("t_con_s") is None for row in group.rows):
            continue
        if not all(group.moves):
            cases += [
                Case(_case_name(group, row), "contended", unit="s", counts=False, why_not="a job without a model")
                for row in group.rows
            ]
            continue
        band = group.together()
        kind = _kind(group)
        for j, row in enumerate(group.rows):
            measured = row.optional("t_con_s", minimum=0)
            if measured is None:
                continue
            gap = row.number("gap_s", minimum=0)
            low, high = (band.low_s[j] + gap) * (1 - floor_frac), (band.high_s[j] + gap) * (1 + floor_frac)
            predicted = float(band.time_s[j]) + gap
            detail = {
                "low": float(low),
                "high": float(high),
                "half_width_frac": float((high - low) / 2 / predicted),
                "in_band": bool(low <= measured <= high),
            }
            cases.append(
                Case.of_figures(_case_name(group, row), f"contended {kind}", measured, predicted, "s", detail=detail)
            )
    return cases


def _kind(group: _Group) -> str:
    """Return the queue and what ran: rings, rings with pauses, or something with an all-to-all in it."""
    rings = all(row.text("algo") in _RINGS for row in group.rows)
    pauses = any(row.number("gap_s") > 0 for row in group.rows)
    what = ("rings with pauses" if pauses else "rings") if rings else "other"
    return f"{group.rows[0].text('queue')} {what}"


class NetnsSuite:
    """Fluid max-min and its band against real TCP."""

    name = "netns"
    title = "real all-reduces over TCP on shaped links, alone and beside others"
    files = (_FABRICS, _ROWS)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row, alone and in contention."""
        groups = _groups(data)
        alone = _alone(groups)
        floor = quantile(_errors(alone), 0.9) or 0.0
        contended = _contended(groups, floor)
        fair_rings = _errors([case for case in contended if case.kind == "contended fq rings"])
        judged = [case for case in contended if case.counts]
        covered = [float(case.detail["in_band"]) for case in judged]
        widths = [float(case.detail["half_width_frac"]) for case in judged]
        targets = [
            Target("alone median_error_frac", quantile(_errors(alone), 0.5), 0.003),
            Target("alone p90_error_frac", quantile(_errors(alone), 0.9), 0.05),
            Target("rings under fair queues median_error_frac", quantile(fair_rings, 0.5), 0.005),
            Target("rings under fair queues p90_error_frac", quantile(fair_rings, 0.9), 0.05),
            Target("all contended median_error_frac", quantile(_errors(judged), 0.5), 0.02),
            Target(
                "share of contended rows inside the band", sum(covered) / len(covered) if covered else None, 0.8, ">="
            ),
            Target("median half width of the band", quantile(widths, 0.5), 0.2),
        ]
        metrics = {"band floor from jobs alone": floor} | _by_kind(judged)
        return SuiteOutcome([*alone, *contended], targets, metrics=metrics)


def _errors(cases: Sequence[Case]) -> list[float]:
    return [
        c.error_frac if math.isfinite(c.error_frac) else 1.0 for c in cases if c.counts and c.error_frac is not None
    ]


def _by_kind(cases: Sequence[Case]) -> dict[str, Any]:
    """Summaries a kind of contended case."""
    out: dict[str, Any] = {}
    for kind in sorted({case.kind for case in cases}):
        mine = [case for case in cases if case.kind == kind]
        out[kind] = {
            "rows": len(mine),
            "median_error_frac": quantile(_errors(mine), 0.5),
            "p90_error_frac": quantile(_errors(mine), 0.9),
            "max_error_frac": max(_errors(mine)),
            "in_band_frac": sum(bool(case.detail["in_band"]) for case in mine) / len(mine),
            "median_half_width_frac": quantile([float(case.detail["half_width_frac"]) for case in mine], 0.5),
        }
    return out


SUITE = NetnsSuite()

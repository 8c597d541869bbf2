"""Suite ``uplinks``: what leaves of a real cluster send up to their spines, against rings and hashing.

``traces/zhejiang_fabric_links.csv``: which NIC is on which leaf port. ``traces/zhejiang_port_traffic_30s.csv``: traffic
of every leaf port in bins of 30 s, ``kind`` being ``server`` or ``uplink``.

The jobs are not published, but their rings show: in a ring every host sends as much as the next, rail by rail, so hosts
with the same traffic on each rail are taken for one job. Three things are predicted without the uplinks' counters:

spine share
    of what the servers of a leaf send, how much goes up, with each job's hosts in the order of their names. Beside it
    for comparison: with the hosts in random order, and packed by leaf.
busiest uplink over 30 s
    its load over the mean of its leaf's uplinks, flows being hashed anew a number of times in 30 s. That number is
    a declared calibration: fitted on every second leaf, judged on the others.
busiest uplink over the whole time
    of the same draws, added up: hashing anew evens out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.registry import ReadOptions
from topologies.formats.wiring import Wiring, natural_key
from topologies.routing.ecmp import Ecmp
from topologies.routing.router import router_for
from topologies.units import from_gbps

__all__ = ["SUITE"]

_LINKS, _TRAFFIC = "traces/zhejiang_fabric_links.csv", "traces/zhejiang_port_traffic_30s.csv"
_MIN_GBPS: Final = 1.0  # of a host's fastest NIC on average; less is no training traffic
_ALIKE_FRAC: Final = 0.02  # rates of two hosts of one ring differ by less, on each rail
_ALIKE_GBPS: Final = 0.2
_REHASHES: Final = tuple(round(2 ** (k / 2)) for k in range(2, 17))  # tried in 30 s: 2 to 256
_NUM_ORDERS: Final = 50
_LOW, _HIGH = 0.1, 0.9

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Counters:
    """Measured traffic.

    Attributes
    ----------
    leaves
        Names, in natural order; the rows of what follows.
    from_servers_gbps
        ``(leaves, bins)``.
    up_gbps
        By leaf, ``(uplinks, bins)``; NaN where a bin is missing.
    mean_gbps
        What a leaf port got from its server on average, by leaf and port.
    """

    leaves: Sequence[str]
    from_servers_gbps: _Floats
    up_gbps: Mapping[str, _Floats]
    mean_gbps: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, data: DataDir) -> _Counters:
        rows = data.rows(_TRAFFIC, columns=("leaf", "port", "kind", "t_s", "in_gbps", "out_gbps"))
        bins = {t: i for i, t in enumerate(sorted({row.number("t_s") for row in rows}))}
        served: dict[tuple[str, str], _Floats] = {}
        up: dict[tuple[str, str], _Floats] = {}
        for row in rows:
            is_up = row.choice("kind", ("server", "uplink")) == "uplink"
            port = (row.text("leaf"), row.text("port"))
            series = (up if is_up else served).setdefault(port, np.full(len(bins), np.nan))
            column = "out_gbps" if is_up else "in_gbps"
            series[bins[row.number("t_s")]] = row.number(column, minimum=0)
        leaves = sorted({leaf for leaf, _ in up} & {leaf for leaf, _ in served}, key=natural_key)
        if not leaves:
            raise InputError(what="no leaf has both server and uplink ports", where=data.find(_TRAFFIC) or _TRAFFIC)
        return cls(
            leaves,
            np.array([np.nansum([s for (at, _), s in served.items() if at == leaf], axis=0) for leaf in leaves]),
            {leaf: np.array([s for (at, _), s in up.items() if at == leaf]) for leaf in leaves},
            {port: float(np.nanmean(series)) for port, series in served.items()},
        )

    def busiest(self, leaf: str) -> _Floats:
        """Busiest uplink over the mean of the leaf's, ``(bins,)``; NaN where nothing goes up."""
        up = np.nan_to_num(self.up_gbps[leaf])
        return _busiest(up)

    def busiest_of_all(self, leaf: str) -> float:
        """As `busiest`, over the whole time."""
        return float(_busiest(np.nan_to_num(self.up_gbps[leaf]).sum(axis=1)))


def _busiest(load: _Floats) -> _Floats:
    """Largest over mean along the first axis; NaN where there is no load."""
    mean = load.mean(axis=0)
    ratio: _Floats = np.divide(load.max(axis=0), mean, out=np.full(np.shape(mean), np.nan), where=mean > 0)
    return ratio


@dataclass(frozen=True, eq=False)
class _Rings:
    """The cluster, and the rings found in it.

    Attributes
    ----------
    jobs
        Hosts of each job, in the order of their names.
    nics
        NIC node of each host by rail.
    rate_gbps
        ``(rails,)`` of each host.
    """

    fabric: Fabric
    uplinks: _Ints
    jobs: Sequence[Sequence[str]]
    nics: Mapping[str, _Ints]
    rate_gbps: Mapping[str, _Floats]

    @classmethod
    def of(cls, data: DataDir, counters: _Counters) -> _Rings:
        rows = data.rows(_LINKS, columns=("server", "nic", "leaf", "port", "gbps"))
        wiring = Wiring("measured cluster", "cable list", str(data.find(_LINKS)))
        by_host: dict[str, list[tuple[str, str, float]]] = {}
        leaves = {row.text("leaf") for row in rows}
        for leaf in leaves:
            wiring.switch(leaf, tier=1)
        for row in rows:
            host, leaf, port = row.text("server"), row.text("leaf"), row.text("port")
            nic = wiring.nic(host, row.text("nic"))
            wiring.cable(nic, row.text("nic"), leaf, port, from_gbps(row.number("gbps", minimum=1e-3)))
            by_host.setdefault(host, []).append((row.text("nic"), nic, counters.mean_gbps.get((leaf, port), 0.0)))
        # The spines' names are not published: one stands for each uplink of a leaf, which is all that a leaf sees.
        num_uplinks = max(len(up) for up in counters.up_gbps.values())
        for spine in range(num_uplinks):
            wiring.switch(f"spine {spine}", tier=2)
            for leaf in leaves:
                wiring.cable(leaf, f"up {spine}", f"spine {spine}", leaf, from_gbps(400.0))
        fabric = wiring.build(ReadOptions()).fabric
        node = {name: i for i, name in enumerate(fabric.node_names)}
        nics, rate = {}, {}
        for host, ports in by_host.items():
            ports.sort(key=lambda port: natural_key(port[0]))
            gbps = np.array([port[2] for port in ports])
            if gbps.max() >= _MIN_GBPS:
                nics[host], rate[host] = np.array([node[port[1]] for port in ports]), gbps
        leaf_nodes = [node[leaf] for leaf in counters.leaves]
        tier = fabric.node_tier
        rises = [np.flatnonzero((fabric.link_source == leaf) & (tier[fabric.link_target] == 2)) for leaf in leaf_nodes]
        return cls(fabric, np.array(rises), _alike(rate), nics, rate)

    def flows(self, orders: Sequence[Sequence[str]]) -> tuple[_Ints, _Ints, _Floats]:
        """Return source, target and Gbit/s of every flow, each job's ring going round in the order given."""
        source, target, gbps = [], [], []
        for order in orders:
            for host, following in zip(order, [*order[1:], order[0]], strict=True):
                if host != following:
                    source.append(self.nics[host])
                    target.append(self.nics[following])
                    gbps.append(self.rate_gbps[host])
        if not source:
            raise InputError(what="no two hosts have alike traffic: no ring is found", where=_TRAFFIC)
        return np.concatenate(source), np.concatenate(target), np.concatenate(gbps)

    def up_gbps(self, orders: Sequence[Sequence[str]], num_draws: int = 1, seed: int = 0) -> _Floats:
        """Route the rings with the flows hashed anew each draw: ``(leaves, uplinks, draws)``."""
        source, target, gbps = self.flows(orders)
        num_flows, num_links = len(source), self.fabric.num_links
        entropy = np.arange(num_flows * num_draws)
        found = router_for(self.fabric).route(
            np.tile(source, num_draws), np.tile(target, num_draws), Ecmp(seed, entropy=entropy)
        )
        flow = found.entry_flow()
        at = found.link * num_draws + flow // num_flows
        load: _Floats = np.bincount(at, found.share_frac * gbps[flow % num_flows], num_links * num_draws).astype(float)
        return load.reshape(num_links, num_draws)[self.uplinks]


def _alike(rate_gbps: Mapping[str, _Floats]) -> list[list[str]]:
    """Put hosts whose rates agree on every rail together, in natural order; a host alone is no job."""
    jobs: list[list[str]] = []
    for host in sorted(rate_gbps, key=natural_key):
        mine = rate_gbps[host]
        for job in jobs:
            first = rate_gbps[job[0]]
            if first.shape == mine.shape and np.all(
                np.abs(first - mine) <= _ALIKE_FRAC * np.maximum(first, mine) + _ALIKE_GBPS
            ):
                job.append(host)
                break
        else:
            jobs.append([host])
    return [job for job in jobs if len(job) > 1]


def _within(name: str, kind: str, measured: _Floats, predicted: float, unit: str, **detail: object) -> Case:
    """Return a case that agrees if the prediction lies between p10 and p90 of what was measured."""
    measured = measured[np.isfinite(measured)]
    low, median, high = np.quantile(measured, [_LOW, 0.5, _HIGH])
    return Case.of_figures(
        name,
        kind,
        float(median),
        predicted,
        unit,
        agrees=bool(low <= predicted <= high),
        detail={"p10": float(low), "p90": float(high), **detail},
    )


def _share_cases(counters: _Counters, rings: _Rings) -> Iterator[Case]:
    measured = np.array([np.nan_to_num(counters.up_gbps[leaf]).sum(axis=0) for leaf in counters.leaves])
    sent = counters.from_servers_gbps
    per_bin = np.divide(measured, sent, out=np.full(sent.shape, np.nan), where=sent > 0)
    from_rings = _sent_by_leaf(rings, counters.leaves)
    up = rings.up_gbps(rings.jobs).sum(axis=(1, 2))
    share = float(up.sum() / from_rings.sum())
    rng = np.random.default_rng(0)
    orders = [[[job[i] for i in rng.permutation(len(job))] for job in rings.jobs] for _ in range(_NUM_ORDERS)]
    at_random = float(np.mean([rings.up_gbps(order).sum() for order in orders]) / from_rings.sum())
    yield _within(
        "all leaves", "spine share", per_bin.ravel(), share, "of what servers send",
        measured_in_all=float(measured.sum() / sent.sum()), in_random_order=at_random,
    )  # fmt: skip
    for i, leaf in enumerate(counters.leaves):
        if from_rings[i] > 0:
            yield Case.of_figures(
                f"leaf {leaf}", "spine share of a leaf", float(measured[i].sum() / sent[i].sum()),
                float(up[i] / from_rings[i]), "of what servers send",
            )  # fmt: skip


def _sent_by_leaf(rings: _Rings, leaves: Sequence[str]) -> _Floats:
    """Return what hosts with a ring send into each leaf, in Gbit/s."""
    fabric = rings.fabric
    names = list(fabric.node_names)
    place = {name: i for i, name in enumerate(leaves)}
    leaf_of = {
        int(s): place.get(names[int(t)], -1)
        for s, t in zip(fabric.link_source, fabric.link_target, strict=True)
        if fabric.node_tier[t] == 1
    }
    sent = np.zeros(len(leaves) + 1)
    for job in rings.jobs:
        for host in job:
            np.add.at(sent, [leaf_of[int(nic)] for nic in rings.nics[host]], rings.rate_gbps[host])
    return sent[:-1]


def _collision_cases(counters: _Counters, rings: _Rings) -> Iterator[Case]:
    leaves, num_bins = counters.leaves, counters.from_servers_gbps.shape[1]
    fitted = np.arange(len(leaves)) % 2 == 0
    measured = [counters.busiest(leaf) for leaf in leaves]

    def in_bins(rehashes: int, bins: int) -> _Floats:
        """Load of each uplink in each bin, ``(leaves, uplinks, bins)``."""
        draws = rings.up_gbps(rings.jobs, bins * rehashes)
        summed: _Floats = draws.reshape(*draws.shape[:2], bins, rehashes).sum(axis=3)
        return summed

    def ratio(load: _Floats) -> _Floats:
        """``(leaves, …)``."""
        return _busiest(np.moveaxis(load, 1, 0))

    wanted = np.array([np.nanmedian(m) for m in measured])
    off = [np.nanmean(np.abs(np.log(np.nanmedian(ratio(in_bins(k, 8)), axis=1) / wanted))[fitted]) for k in _REHASHES]
    rehashes = _REHASHES[int(np.argmin(off))]
    load = in_bins(rehashes, num_bins)
    judged = ~fitted if (~fitted).any() else fitted
    yield _within(
        f"leaves not fitted on, {rehashes} hashes of a flow in a bin", "busiest uplink in a bin",
        np.concatenate([m for m, use in zip(measured, judged, strict=True) if use]),
        float(np.nanmedian(ratio(load)[judged])), "times the mean", rehashes=rehashes,
    )  # fmt: skip
    whole = ratio(load.sum(axis=2))
    yield _within(
        "all leaves", "busiest uplink of the whole time", np.array([counters.busiest_of_all(leaf) for leaf in leaves]),
        float(np.nanmedian(whole)), "times the mean", rehashes=rehashes,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UplinksSuite:
    """Spine share and hash collisions by port counters."""

    name: str = "uplinks"
    title: str = "port counters of a real cluster: share of the spine, and how unevenly uplinks are used"
    files: tuple[str, ...] = (_LINKS, _TRAFFIC)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Find the rings, route them, and set loads beside the counters."""
        counters = _Counters.of(data)
        rings = _Rings.of(data, counters)
        cases = [*_share_cases(counters, rings), *_collision_cases(counters, rings)]
        votes = [float(case.agrees) for case in cases if case.agrees is not None]
        notes = [
            f"{len(rings.jobs)} rings found over {sum(map(len, rings.jobs))} hosts by their traffic: "
            + ", ".join(f"{len(job)} × {rings.rate_gbps[job[0]].max():.3g} Gbit/s" for job in rings.jobs),
            f"with the hosts in random order the spine's share would be {cases[0].detail['in_random_order']:.1%}; "
            f"measured {cases[0].detail['measured_in_all']:.1%}, predicted {cases[0].predicted:.1%}",
        ]
        targets = [Target("inside p10 to p90 of what was measured agreement_frac", min(votes, default=None), 1.0, ">=")]
        return SuiteOutcome(cases, targets, notes)


SUITE = UplinksSuite()

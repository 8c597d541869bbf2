"""Suite ``pairwise``: busbw between pairs of nodes, every pair of a cluster.

``measured/pairwise.csv``, one pair of nodes and one number of accelerators of each a row. The rows do not say what the
nodes are; ``measured/sweeps.yaml`` may, by a case of the same source. Else the NICs are taken to be the slowest usual
ones that the fastest lone pair does not exceed, one an accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.collectives.collective import collective_time
from planner.collectives.definitions import Collective, check_collective
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from planner.validation.suites.measured_systems import Setup, efficiency_of, fabric_of, read_setups
from topologies.errors import InputError
from topologies.units import from_gbps, to_gb_per_s

__all__ = ["SUITE"]

_ROWS = "measured/pairwise.csv"
_SETUPS = "measured/sweeps.yaml"
_COLUMNS = ("cluster", "test", "nodes", "gpus_per_node", "node_pair", "max_bytes", "peak_busbw_gbs")

_USUAL_NIC_GBPS = (10.0, 25.0, 40.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)
# A pair is slow below this part of the median, as effects.yaml counts them.
_SLOW_FRAC = 0.8
# The uncalibrated band: nine of ten pairs lie in it.
_TARGET_P90_ERROR_FRAC = 0.30
_TARGET_MEDIAN_ERROR_FRAC = 0.12


@dataclass(frozen=True, slots=True)
class _Pair:
    """One row."""

    cluster: str
    collective: Collective
    a_node: int
    pair: str
    size_bytes: float
    peak_gb_per_s: float
    source: str


def _read(row: Row) -> _Pair:
    if row.integer("nodes", minimum=1) != 2:
        raise InputError(what="not a pair", where=row.where, found=row.text("nodes"), allowed="nodes = 2")
    return _Pair(
        cluster=row.text("cluster"),
        collective=check_collective(row.text("test"), where=row.where),
        a_node=row.integer("gpus_per_node", minimum=1),
        pair=row.text("node_pair"),
        size_bytes=row.number("max_bytes", minimum=1),
        peak_gb_per_s=row.number("peak_busbw_gbs", minimum=1e-9),
        source=row.values.get("source", ""),
    )


def _told_setup(cluster: str, source: str, setups: Sequence[Setup]) -> Setup | None:
    """Return the set-up with most accelerators a node whose source is of the same repository and cluster."""
    repository = "/".join(source.split("/")[:5])
    same = [s for s in setups if cluster in s.source and repository and s.source.startswith(repository) and s.nic_gbps]
    return max(same, key=lambda s: s.accelerators_a_host, default=None)


def _inferred_setup(cluster: str, pairs: Sequence[_Pair]) -> Setup:
    """Return nodes whose NICs are the slowest usual ones that the fastest lone pair does not exceed."""
    lone = [pair for pair in pairs if pair.a_node == min(p.a_node for p in pairs)]
    fastest = max(pair.peak_gb_per_s / (pair.a_node if pair.collective != "send-recv" else 1) for pair in lone)
    rate = next((gbps for gbps in _USUAL_NIC_GBPS if to_gb_per_s(from_gbps(gbps)) >= fastest), _USUAL_NIC_GBPS[-1])
    most = max(pair.a_node for pair in pairs)
    return Setup(
        case_id=cluster,
        collective="",
        quality="",
        source="",
        accelerator="h100",
        num_ranks=2 * most,
        num_hosts=2,
        accelerators_a_host=most,
        scale_up_domain=most,
        num_racks=0,
        scale_up_gb_per_s=0.0,
        pair_gb_per_s=0.0,
        nics_a_host=most,
        nic_gbps=rate,
        network="",
        algo="",
    )


def _two_nodes(setup: Setup, a_node: int) -> Setup:
    """Return two nodes with as many accelerators as were used, and the NICs of those."""
    nics = max(1, round(setup.nics_a_host * a_node / setup.accelerators_a_host))
    return replace(
        setup,
        num_ranks=2 * a_node,
        num_hosts=2,
        accelerators_a_host=a_node,
        scale_up_domain=a_node,
        nics_a_host=nics,
        num_racks=0,
    )


def _predicted_gb_per_s(setup: Setup, pair: _Pair) -> float:
    fabric = fabric_of(setup)
    table = collective_time(
        fabric,
        np.arange(fabric.num_accelerators),
        pair.collective,
        [round(pair.size_bytes)],
        efficiency=efficiency_of(setup, fabric),
    )
    return to_gb_per_s(float(table.busbw_bytes_per_s[0, 0]))


def _cluster_cases(cluster: str, pairs: Sequence[_Pair], setups: Sequence[Setup]) -> Iterator[Case | str]:
    """Yield the cases of a cluster, and remarks."""
    setup = _told_setup(cluster, pairs[0].source, setups)
    if setup is None:
        setup = _inferred_setup(cluster, pairs)
        yield f"{cluster}: nothing says what its nodes are; NICs of {setup.nic_gbps:g} Gbit/s inferred"
    groups: dict[tuple[Collective, int], list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.collective, pair.a_node), []).append(pair)
    for (collective, a_node), members in groups.items():
        here = _two_nodes(setup, a_node)
        predicted: dict[float, float] = {}
        for pair in members:
            if pair.size_bytes not in predicted:
                predicted[pair.size_bytes] = _predicted_gb_per_s(here, pair)
            yield Case.of_figures(
                f"{cluster} {collective} {a_node} a node, {pair.pair}",
                "pair",
                pair.peak_gb_per_s,
                predicted[pair.size_bytes],
                "GB/s",
            )
        median = float(np.median([pair.peak_gb_per_s for pair in members]))
        slow = [pair.pair for pair in members if pair.peak_gb_per_s < _SLOW_FRAC * median]
        name = f"{cluster} {collective} {a_node} a node, {len(members)} pairs"
        yield Case.of_figures(name, "median", median, float(np.median(list(predicted.values()))), "GB/s")
        # One switch joins all nodes of the model: it has no pair slower than another.
        yield Case(name, "uniform", float(len(slow)), 0.0, "slow pairs", agrees=not slow, detail={"slow": slow})


class PairwiseSuite:
    """Pairs of nodes."""

    name = "pairwise"
    title = "busbw between pairs of nodes of real clusters, uncalibrated"
    files = (_ROWS,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Predict every pair."""
        told = read_setups(data, _SETUPS) if data.find(_SETUPS) else {}
        setups = [setup for setup in told.values() if setup is not None]
        clusters: dict[str, list[_Pair]] = {}
        for row in data.rows(_ROWS, columns=_COLUMNS):
            pair = _read(row)
            clusters.setdefault(pair.cluster, []).append(pair)
        made = [item for cluster, pairs in clusters.items() for item in _cluster_cases(cluster, pairs, setups)]
        cases = [item for item in made if isinstance(item, Case)]
        errors = [case.error_frac for case in cases if case.kind == "pair" and case.error_frac is not None]
        targets = [
            Target("pair median_error_frac", quantile(errors, 0.5), _TARGET_MEDIAN_ERROR_FRAC),
            Target("pair p90_error_frac", quantile(errors, 0.9), _TARGET_P90_ERROR_FRAC),
        ]
        notes = [item for item in made if isinstance(item, str)]
        return SuiteOutcome(cases, targets, notes, summary_kinds=frozenset({"pair", "uniform"}))


SUITE = PairwiseSuite()

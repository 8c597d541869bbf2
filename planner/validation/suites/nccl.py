"""Suite ``nccl``: NCCL's own tuner, given the graphs its search found.

``nccl/graphs.csv``: channels and bandwidths a graph. ``nccl/tune.csv``: latency and algorithm bandwidth of each
algorithm and protocol. ``nccl/pick.csv``: what it chose for a size, its time and busbw. The system's name says the
accelerator (``h100``…) and, where the usual one is not meant, the host processor (``intel``, ``amd``, ``arm``).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from planner.collectives.definitions import Collective, busbw_bytes_per_s
from planner.collectives.nccl.communicators import ChannelGraph, Communicator, stack
from planner.collectives.nccl.constants import (
    ALGORITHM_NAMES,
    PROTOCOL_NAMES,
    Architecture,
    Cpu,
    PathType,
    Pattern,
)
from planner.collectives.nccl.from_fabric import find_groups
from planner.collectives.nccl.selection import pick
from planner.collectives.nccl.tuning import TuningTable, tune
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from planner.validation.suites.reference_systems import reference_system
from topologies.errors import InputError
from topologies.units import from_gb_per_s, to_gb_per_s, to_us

__all__ = ["SUITE"]

_GRAPHS, _TUNE, _PICK = "nccl/graphs.csv", "nccl/tune.csv", "nccl/pick.csv"
_TARGET_ERROR_FRAC = 0.001
_TARGET_GRAPH_AGREEMENT_FRAC = 0.95
# graphs.csv prints two decimals of a GB/s.
_PRINTED_HALF_STEP = 0.005 + 1e-9
# Graphs of more units than this are found on this many: every unit is the same, and so is its graph.
_MAX_BUILT_UNITS = 4

_ARCHITECTURES = MappingProxyType(
    {
        "v100": Architecture.VOLTA,
        "a100": Architecture.AMPERE,
        "a800": Architecture.AMPERE,
        "h100": Architecture.HOPPER,
        "h200": Architecture.HOPPER,
        "h800": Architecture.HOPPER,
        "h20": Architecture.HOPPER,
        "gh200": Architecture.HOPPER,
        "b100": Architecture.BLACKWELL,
        "b200": Architecture.BLACKWELL,
        "b300": Architecture.BLACKWELL,
        "gb200": Architecture.BLACKWELL,
        "gb300": Architecture.BLACKWELL,
    }
)
# Host processors of the reference systems: DGX A100 has AMD's, DGX H100 and B200 Intel's, Grace systems ARM's.
_USUAL_CPU = MappingProxyType({"a100": Cpu.AMD, "a800": Cpu.AMD, "gh200": Cpu.ARM, "gb200": Cpu.ARM, "gb300": Cpu.ARM})
_CPU_WORDS = MappingProxyType(
    {"intel": Cpu.INTEL, "amd": Cpu.AMD, "arm": Cpu.ARM, "grace": Cpu.ARM, "mixed": Cpu.MIXED}
)
_COLLECTIVES: MappingProxyType[str, Collective] = MappingProxyType(
    {
        "AllReduce": "all-reduce",
        "AllGather": "all-gather",
        "ReduceScatter": "reduce-scatter",
        "Broadcast": "broadcast",
        "Reduce": "reduce",
    }
)


def hardware_of(system: str, where: str) -> tuple[Architecture, Cpu]:
    """Return accelerator generation and host processor of a system by the words of its name.

    Raises
    ------
    InputError
        If no word names a known accelerator.
    """
    words = system.lower().replace("-", "_").split("_")
    accelerator = next((word for word in words if word in _ARCHITECTURES), None)
    if accelerator is None:
        raise InputError(
            what="the system's name tells no accelerator",
            where=where,
            found=repr(system),
            allowed=", ".join(_ARCHITECTURES),
        )
    cpu = next((_CPU_WORDS[word] for word in words if word in _CPU_WORDS), _USUAL_CPU.get(accelerator, Cpu.INTEL))
    return _ARCHITECTURES[accelerator], cpu


def _graph(row: Row) -> ChannelGraph:
    patterns = [int(p) for p in Pattern]
    pattern = row.integer("pattern")
    if pattern not in patterns:
        raise InputError(what="bad pattern", where=row.where, found=pattern, allowed=", ".join(map(str, patterns)))
    paths = [row.integer("typeIntra"), row.integer("typeInter")]
    if max(paths) > max(PathType):
        raise InputError(what="bad path type", where=row.where, found=max(paths), allowed=f"0 to {int(max(PathType))}")
    return ChannelGraph(
        channels=row.integer("nChannels"),
        intra_bytes_per_s=from_gb_per_s(row.number("bwIntra", minimum=0)),
        inter_bytes_per_s=from_gb_per_s(row.number("bwInter", minimum=0)),
        pattern=Pattern(pattern),
        intra_path=PathType(paths[0]),
        inter_path=PathType(paths[1]),
        same_channels=bool(row.integer("sameCh")),
    )


def read_graphs(data: DataDir) -> dict[tuple[str, int], tuple[dict[str, ChannelGraph], int]]:
    """Return, for each (system, nodes), the graphs by algorithm name and the final number of channels."""
    found: dict[tuple[str, int], tuple[dict[str, ChannelGraph], int]] = {}
    for row in data.rows(_GRAPHS):
        key = (row.text("system"), row.integer("nodes", minimum=1))
        graphs, _ = found.setdefault(key, ({}, row.integer("commChannels", minimum=1)))
        graphs[row.choice("graph", ALGORITHM_NAMES[:-1])] = _graph(row)
    return found


class _Systems:
    """The communicators of a data directory, built once each."""

    def __init__(self, data: DataDir) -> None:
        self._graphs = read_graphs(data)
        self._built: dict[tuple[str, int, int, bool], Communicator] = {}

    def communicator(self, row: Row, *, collnet: bool) -> Communicator:
        system, nodes, ppn = row.text("system"), row.integer("nodes", minimum=1), row.integer("ppn", minimum=1)
        key = (system, nodes, ppn, collnet)
        if key not in self._built:
            if (system, nodes) not in self._graphs:
                raise InputError(
                    what="no graphs of this system and node count",
                    where=row.where,
                    found=f"{system}, {nodes} nodes",
                    fix=f"add them to {_GRAPHS}",
                )
            graphs, channels = self._graphs[system, nodes]
            architecture, cpu = hardware_of(system, row.where)
            self._built[key] = Communicator(
                num_nodes=nodes,
                num_ranks=nodes * ppn,
                architecture=architecture,
                cpu=cpu,
                channels=channels,
                graphs=[graphs.get(name, ChannelGraph()) for name in ALGORITHM_NAMES[:-1]],
                collnet=collnet,
            )
        return self._built[key]


def _name(row: Row, *columns: str) -> str:
    return " ".join(row.text(column) for column in columns)


def _tune_cases(data: DataDir, systems: _Systems) -> list[Case]:
    rows = data.rows(_TUNE)
    tables: dict[tuple[int, str], TuningTable] = {}
    cases = []
    for row in rows:
        comm = systems.communicator(row, collnet=False)
        collective = _COLLECTIVES[row.choice("func", list(_COLLECTIVES))]
        key = (id(comm), collective)
        if key not in tables:
            tables[key] = tune(stack([comm]), collective)
        algorithm = ALGORITHM_NAMES.index(row.choice("algo", ALGORITHM_NAMES))
        protocol = PROTOCOL_NAMES.index(row.choice("proto", PROTOCOL_NAMES))
        name = _name(row, "system", "nodes", "ppn", "func", "algo", "proto")
        latency_us = to_us(float(tables[key].latency_s[0, algorithm, protocol]))
        algbw = to_gb_per_s(float(tables[key].algbw_bytes_per_s[0, algorithm, protocol]))
        for kind, column, ours, unit in (
            ("latency", "latency_us", latency_us, "us"),
            ("bandwidth", "algbw_GBps", algbw, "GB/s"),
        ):
            measured = row.number(column, minimum=0)
            cases.append(Case.of_figures(f"{name} {kind}", kind, measured, ours, unit))
    return cases


def _pick_cases(data: DataDir, systems: _Systems) -> list[Case]:
    rows = data.rows(_PICK)
    comms: list[Communicator] = []
    for row in rows:
        comms.append(systems.communicator(row, collnet=row.choice("collnet", ("0", "1")) == "1"))
    groups: dict[int, list[int]] = {}
    for i, comm in enumerate(comms):
        groups.setdefault(id(comm), []).append(i)
    cases: list[Case | None] = [None] * len(rows)
    for members in groups.values():
        batch = stack([comms[members[0]]])
        sizes = [rows[i].integer("bytes", minimum=1) for i in members]
        picks = pick(batch, tune(batch, "all-reduce"), sizes)
        for j, i in enumerate(members):
            cases[i] = _pick_case(rows[i], comms[i], int(picks.algorithm[0, j]), int(picks.protocol[0, j]),
                                  float(picks.time_s[0, j]))  # fmt: skip
    return [case for case in cases if case is not None]


def _pick_case(row: Row, comm: Communicator, algorithm: int, protocol: int, time_s: float) -> Case:
    ours = (ALGORITHM_NAMES[algorithm], PROTOCOL_NAMES[protocol])
    theirs = (row.choice("algo", ALGORITHM_NAMES), row.choice("proto", PROTOCOL_NAMES))
    size = row.integer("bytes", minimum=1)
    busbw = to_gb_per_s(float(busbw_bytes_per_s("all-reduce", size, time_s, comm.num_ranks)))
    return Case.of_figures(
        _name(row, "system", "nodes", "ppn", "collnet", "bytes"),
        "pick",
        row.number("time_us", minimum=0),
        to_us(time_s),
        "us",
        agrees=ours == theirs,
        detail={"chosen": "/".join(ours), "referee_chose": "/".join(theirs), "busbw_gb_per_s": round(busbw, 2)},
    )


def _graph_cases(data: DataDir) -> list[Case]:
    """Build each system as a fabric of ours, search its graphs, and compare channels and rates."""
    found: dict[tuple[str, int], Communicator | InputError] = {}
    cases = []
    for row in data.rows(_GRAPHS):
        key = (row.text("system"), row.integer("nodes", minimum=1))
        if key not in found:
            found[key] = _from_our_fabric(*key)
        ours = found[key]
        graph = row.choice("graph", ALGORITHM_NAMES[:-1])
        name = f"{_name(row, 'system', 'nodes')} {graph} graph"
        if isinstance(ours, InputError):
            cases.append(Case(name, "graph", counts=False, why_not=str(ours)))
            continue
        mine = ours.graphs[ALGORITHM_NAMES.index(graph)]
        figures = (
            mine.channels,
            to_gb_per_s(mine.intra_bytes_per_s),
            to_gb_per_s(mine.inter_bytes_per_s),
            ours.channels,
        )
        theirs = (
            row.integer("nChannels"),
            row.number("bwIntra", minimum=0),
            row.number("bwInter", minimum=0),
            row.integer("commChannels"),
        )
        agrees = all(abs(a - b) <= _PRINTED_HALF_STEP for a, b in zip(figures, theirs, strict=True))
        detail = {"found": list(figures), "referee_found": list(theirs)}
        cases.append(Case(name, "graph", agrees=agrees, detail=detail))
    return cases


def _from_our_fabric(system: str, nodes: int) -> Communicator | InputError:
    try:
        fabric = reference_system(system, min(nodes, _MAX_BUILT_UNITS))
    except InputError as error:
        return error
    (group,) = find_groups(fabric, [np.arange(fabric.num_accelerators)])
    return group.communicator


def _agreement(cases: list[Case], kind: str) -> float | None:
    votes = [case.agrees for case in cases if case.kind == kind and case.agrees is not None]
    return float(np.mean(votes)) if votes else None


def _worst(cases: list[Case], kind: str, q: float = 1.0) -> float | None:
    return quantile([case.error_frac for case in cases if case.kind == kind and case.error_frac is not None], q)


class NcclSuite:
    """NCCL's tuner and picks."""

    name = "nccl"
    title = "NCCL's own tuner and picks given its graphs, and its graphs found from our fabrics"
    files = (_GRAPHS, _PICK)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row."""
        systems = _Systems(data)
        cases = _pick_cases(data, systems)
        if data.find(_TUNE) is not None:
            cases += _tune_cases(data, systems)
        cases += _graph_cases(data)
        pick_agreement, graph_agreement = _agreement(cases, "pick"), _agreement(cases, "graph")
        targets = [
            Target("pick agreement_frac", pick_agreement, 1.0, ">="),
            Target("pick time max_error_frac", _worst(cases, "pick"), _TARGET_ERROR_FRAC),
            Target("tuner latency max_error_frac", _worst(cases, "latency"), _TARGET_ERROR_FRAC),
            Target("tuner bandwidth max_error_frac", _worst(cases, "bandwidth"), _TARGET_ERROR_FRAC),
            Target("graphs found from our fabrics agreement_frac", graph_agreement, _TARGET_GRAPH_AGREEMENT_FRAC, ">="),
        ]
        metrics = {"pick_agreement_frac": pick_agreement, "graph_agreement_frac": graph_agreement}
        return SuiteOutcome(cases, targets, metrics=metrics, summary_kinds=frozenset({"pick"}))


SUITE = NcclSuite()

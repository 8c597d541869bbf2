"""What the tuner needs to know of a communicator, for many communicators at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.collectives.nccl.constants import Algorithm, Architecture, Cpu, PathType, Pattern

__all__ = ["ChannelGraph", "Communicator", "Communicators", "stack"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """What the graph search found for one algorithm.

    Attributes
    ----------
    channels
        How many; 0 when there is no graph.
    intra_bytes_per_s, inter_bytes_per_s
        Rate of one channel inside a node and between nodes.
    pattern, intra_path, inter_path
        Shape, and the worst path used inside a node and to the NICs.
    same_channels
        Whether all channels take the same order of accelerators.
    """

    channels: int = 0
    intra_bytes_per_s: float = 0.0
    inter_bytes_per_s: float = 0.0
    pattern: Pattern = Pattern.RING
    intra_path: PathType = PathType.LOC
    inter_path: PathType = PathType.LOC
    same_channels: bool = False


@dataclass(frozen=True, slots=True)
class Communicator:
    """One communicator: its size, its hardware, and a graph for each algorithm.

    Attributes
    ----------
    num_nodes, num_ranks
        NVLink-connected nodes and ranks.
    architecture, cpu
        Of the accelerators and of the hosts.
    channels
        Final number of channels.
    graphs
        By `Algorithm`; PAT uses the tree's.
    collnet
        Whether reduction in the network (SHARP) is there.
    nvswitch
        Whether the nodes have NVSwitches.
    same_architecture
        Whether all accelerators are of one generation.
    """

    num_nodes: int
    num_ranks: int
    architecture: Architecture
    cpu: Cpu
    channels: int
    graphs: Sequence[ChannelGraph]
    collnet: bool = False
    nvswitch: bool = True
    same_architecture: bool = True


@dataclass(frozen=True, slots=True)
class Communicators:
    """Communicators in columns: ``(G,)`` each, graphs ``(G, num algorithms)``; see `Communicator` for the meanings."""

    num_nodes: _Ints
    num_ranks: _Ints
    architecture: _Ints
    cpu: _Ints
    channels: _Ints
    collnet: npt.NDArray[np.bool_]
    nvswitch: npt.NDArray[np.bool_]
    same_architecture: npt.NDArray[np.bool_]
    graph_channels: _Ints
    graph_intra_bytes_per_s: _Floats
    graph_inter_bytes_per_s: _Floats
    graph_pattern: _Ints
    graph_intra_path: _Ints
    graph_inter_path: _Ints
    graph_same_channels: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.num_nodes)


def stack(communicators: Sequence[Communicator]) -> Communicators:
    """Put communicators side by side."""
    graphs = [
        [comm.graphs[a] if a < len(comm.graphs) else comm.graphs[Algorithm.TREE] for a in Algorithm]
        for comm in communicators
    ]
    shape = (len(communicators), len(Algorithm))

    def column(name: str, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
        return np.array([getattr(comm, name) for comm in communicators], dtype=dtype)

    def table(name: str, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
        return np.array([[getattr(graph, name) for graph in row] for row in graphs], dtype=dtype).reshape(shape)

    ints, floats, bools = np.int64, np.float64, np.bool_
    columns: dict[str, Any] = {
        name: column(name, ints) for name in ("num_nodes", "num_ranks", "architecture", "cpu", "channels")
    }
    columns |= {name: column(name, bools) for name in ("collnet", "nvswitch", "same_architecture")}
    columns |= {f"graph_{n}": table(n, ints) for n in ("channels", "pattern", "intra_path", "inter_path")}
    columns |= {f"graph_{n}": table(n, floats) for n in ("intra_bytes_per_s", "inter_bytes_per_s")}
    columns["graph_same_channels"] = table("same_channels", bools)
    return Communicators(**columns)

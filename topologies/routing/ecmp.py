"""ECMP: every switch hashes the flow's header and picks one of the equal ways; two big flows may fall on one link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.routing.network import Batch, NetworkTables
from topologies.routing.pieces import Pieces
from topologies.routing.rows import Int64s
from topologies.routing.walk import Hop, walk

__all__ = ["Ecmp", "mix"]

UInt64s = npt.NDArray[np.uint64]

# Constants of SplitMix64's output function (Steele, Lea & Flood, OOPSLA 2014), a bijection with good avalanche.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MUL_1 = np.uint64(0xBF58476D1CE4E5B9)
_MUL_2 = np.uint64(0x94D049BB133111EB)


def mix(value: UInt64s) -> UInt64s:
    """Scramble 64-bit numbers so that alike inputs give unlike outputs."""
    value = value + _GAMMA
    value = (value ^ (value >> np.uint64(30))) * _MUL_1
    value = (value ^ (value >> np.uint64(27))) * _MUL_2
    return value ^ (value >> np.uint64(31))


@dataclass(frozen=True)
class Ecmp:
    """One way a flow, hashed anew at every switch.

    Parameters
    ----------
    seed
        Stands for the switches' hash seeds and for the ports that flows happen to have.
    entropy
        ``(F,)`` what tells flows apart beside their ends (the port numbers of a queue pair, say); none: the ends and
        the flow's place in the list.
    paths_a_flow
        Into how many queue pairs each flow is split evenly, each hashed by itself.

    Raises
    ------
    InputError
        If a flow is to have no path.
    """

    seed: int = 0
    entropy: Int64s | None = None
    paths_a_flow: int = 1

    def __post_init__(self) -> None:
        if self.paths_a_flow < 1:
            raise InputError(what="a flow needs a path", where="ecmp", found=self.paths_a_flow, allowed="1 or more")

    @property
    def name(self) -> str:
        """Short name."""
        return "ecmp"

    def add(self, network: NetworkTables, batch: Batch, pieces: Pieces) -> None:
        """Add the links of the flows in `batch` to `pieces`."""
        own = batch.flow if self.entropy is None else np.asarray(self.entropy, np.int64)[batch.flow]
        header = mix(batch.source.astype(np.uint64) ^ mix(batch.target.astype(np.uint64) ^ mix(own.astype(np.uint64))))
        by_flow = np.zeros(int(batch.flow.max()) + 1, np.uint64)
        for path in range(self.paths_a_flow):
            salt = mix(mix(np.array([self.seed], np.uint64)) ^ np.uint64(path))
            by_flow[batch.flow] = mix(header ^ salt)

            def choose(hop: Hop) -> Int64s:
                hashed = mix(by_flow[hop.flow] ^ mix(hop.node.astype(np.uint64)))
                return (hashed % hop.num_choices.astype(np.uint64)).astype(np.int64)

            apart = pieces if self.paths_a_flow == 1 else Pieces(pieces.num_flows)
            walk(network, batch, apart, choose)
            if apart is not pieces:
                found = apart.join()
                pieces.add(found.entry_flow(), found.link, found.share_frac / self.paths_a_flow)

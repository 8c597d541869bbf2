"""Times of collectives of strided groups on a real fabric: NCCL's choice by size, and what groups take from each other.

A group's times come from `planner.collectives`, reckoned once for each size and stride on a grid of message sizes and
read between them on logarithmic scales. All groups of one kind run at once in training, so the times are stretched by
what the slowest of them loses to the others on the links that they share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from planner.collectives.collective import collective_times
from planner.collectives.definitions import Collective
from planner.collectives.efficiency import Efficiency
from planner.collectives.traffic import Demand, job_flows
from planner.congestion.score import score_flows
from planner.workloads.machine import used_of_domain
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.network import Routing
from topologies.routing.spray import Spray

__all__ = ["FabricPricer"]

_Floats = npt.NDArray[np.float64]

_SIZES = 2.0 ** np.arange(10, 41, 2)
_PROBE_BYTES = 2.0**30


@dataclass(frozen=True, eq=False)
class FabricPricer:
    """Prices collectives on a fabric, ranks standing on its accelerators in order.

    Attributes
    ----------
    fabric
        Where.
    accelerators
        ``(R,)`` accelerator of each rank.
    efficiency, routing
        What links give (uncalibrated if ``None``), and how flows find their ways (spraying if ``None``).
    """

    fabric: Fabric
    accelerators: npt.NDArray[np.int64]
    efficiency: Efficiency | None = None
    routing: Routing | None = None
    _tables: dict[tuple[str, int, int], _Floats] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        fabric: Fabric,
        num_ranks: int | None = None,
        *,
        routing: Routing | None = None,
        used: int | None = None,
    ) -> FabricPricer:
        """Return a pricer for the first accelerators of a fabric: `used` of each domain, by default as many as divide.

        Raises
        ------
        InputError
            If the fabric has fewer.
        """
        ranks = fabric.num_accelerators if num_ranks is None else num_ranks
        if not 1 <= ranks <= fabric.num_accelerators:
            raise InputError(
                what="more accelerators than the fabric has",
                where=fabric.name,
                found=ranks,
                allowed=f"1 to {fabric.num_accelerators}",
            )
        domain = np.bincount(fabric.accelerator_domain)
        used = used or used_of_domain(ranks, int(domain.min()))
        # The first `used` accelerators of each domain, domain by domain.
        order = np.argsort(fabric.accelerator_domain, kind="stable")
        place = np.arange(fabric.num_accelerators) - (np.cumsum(domain) - domain)[fabric.accelerator_domain[order]]
        chosen = order[place < used]
        accelerators = chosen[:ranks] if len(chosen) >= ranks else order[:ranks]
        return cls(fabric, accelerators.astype(np.int64), routing=routing)

    def time_s(self, collective: Collective, ranks: _Floats, stride: _Floats, size_bytes: _Floats) -> _Floats:
        """Return the time of one collective for each group; see `planner.workloads.pricing.Pricer`."""
        p, apart, size = np.broadcast_arrays(
            np.asarray(ranks, np.float64), np.asarray(stride, np.float64), np.asarray(size_bytes, np.float64)
        )
        result = np.zeros(p.shape)
        keys = np.stack([p.ravel(), apart.ravel()], axis=1).astype(np.int64)
        for count, step in np.unique(keys, axis=0):
            rows = (p == count) & (apart == step) & (size > 0)
            if count < 2 or not rows.any():
                continue
            table = self._table(collective, int(count), int(step))
            wanted = np.log(np.clip(size[rows], _SIZES[0], None))
            # Beyond the grid's end, time grows with size.
            over = np.maximum(size[rows] / _SIZES[-1], 1.0)
            result[rows] = np.exp(np.interp(wanted, np.log(_SIZES), np.log(table))) * over
        return result

    def groups(self, count: int, step: int) -> npt.NDArray[np.int64]:
        """Return the accelerators of every group of `count` ranks that lie `step` apart, ``(groups, count)``."""
        whole = len(self.accelerators) // (count * step) * count * step
        split = self.accelerators[:whole].reshape(-1, count, step)
        return np.ascontiguousarray(np.moveaxis(split, 1, 2).reshape(-1, count))

    def _table(self, collective: Collective, count: int, step: int) -> _Floats:
        key = (collective, count, step)
        if key not in self._tables:
            groups = self.groups(count, step)
            if not len(groups):
                raise InputError(
                    what="a group reaches past the last accelerator",
                    where=self.fabric.name,
                    found=f"{count} ranks, {step} apart",
                    allowed=f"{len(self.accelerators)} accelerators",
                )
            alone = collective_times(
                self.fabric, [groups[0]], collective, _SIZES, efficiency=self.efficiency, routing=self.routing
            ).time_s[0]
            self._tables[key] = alone * self._stretch(collective, groups)
        return self._tables[key]

    def _stretch(self, collective: Collective, groups: npt.NDArray[np.int64]) -> float:
        """Return by how much the slowest of the groups is slower than the first one alone, links shared."""
        demand = Demand(_PROBE_BYTES, collective, "ring")
        flows = job_flows(self.fabric, list(groups), [demand] * len(groups))
        report = score_flows(self.fabric, flows, self.routing or Spray())
        alone = float(report.isolated.time_s[0])
        return max(1.0, float(report.worst.time_s.max()) / alone) if alone > 0 else 1.0

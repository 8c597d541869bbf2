"""How much of what hosts have left the work to come could not use: FGD's measure, and one that looks further.

Over a mix of expected asks, in thousandths of accelerators, an average over the mix of what an ask could not use
(Weng et al., USENIX ATC 2023, eq. 1 to 3): all that a host has left if the host cannot hold the ask or the ask needs no
accelerator, else what lies on accelerators too full for it.

That looks at one ask: eight free accelerators with processor left for two asks count as eight usable ones. With a
*reach* of r, a part r of the measure counts what asks of one kind could use until the processor runs out, two here, and
the rest as FGD does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.replay.pool import WHOLE_MILLI, Ask, HostPool, Int64s

__all__ = ["Float64s", "Fragmentation", "Mix"]

Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mix:
    """Expected asks and how often each comes (adds up to 1)."""

    asks: tuple[Ask, ...]
    often: tuple[float, ...]

    @classmethod
    def of(cls, asks: Iterable[Ask]) -> Mix:
        """Return the kinds of ask by how often they come, the most frequent first."""
        counted = Counter(asks)
        total = counted.total()
        ranked = counted.most_common()
        return cls(tuple(ask for ask, _ in ranked), tuple(count / total for _, count in ranked))

    def typical(self, cover_frac: float = 0.95) -> Mix:
        """Return the most frequent kinds that together make `cover_frac` of all (FGD's typical pods).

        Memory does not tell kinds apart. Kinds that are equally frequent come in the order of this mix.
        """
        merged: Counter[Ask] = Counter()
        for ask, often in zip(self.asks, self.often, strict=True):
            merged[Ask(ask.gpus, ask.gpu_milli, ask.cpu_milli, 0, ask.models)] += often  # type: ignore[assignment]
        chosen: list[tuple[Ask, float]] = []
        covered = 0.0
        for ask, often in merged.most_common():
            if covered >= cover_frac - 1e-12 and chosen:
                break
            chosen.append((ask, often))
            covered += often
        return Mix(tuple(ask for ask, _ in chosen), tuple(often / covered for _, often in chosen))


class Fragmentation:
    """Scores what hosts have left against a mix; vectorised over hosts and what-if states.

    Parameters
    ----------
    mix
        What is expected.
    pool
        Whose models the asks name.
    reach_frac
        How much of the measure looks further than one ask, 0 (FGD) to 1.
    """

    def __init__(self, mix: Mix, pool: HostPool, reach_frac: float = 0.0) -> None:
        self._reach_frac = reach_frac
        asks = mix.asks
        self._often = np.array(mix.often)
        self._cpu = np.array([a.cpu_milli for a in asks], np.int64)
        self._num = np.array([max(a.gpus, 1) for a in asks], np.int64)
        self._milli = np.array([a.gpu_milli if a.gpus else 0 for a in asks], np.int64)
        levels = np.unique(np.append(self._milli, WHOLE_MILLI))
        self._level = np.searchsorted(levels, self._milli)
        v = np.arange(WHOLE_MILLI + 1)[:, None]
        # By thousandths left of one accelerator and by level: what is too little for an ask, and whether it holds one.
        self._too_little = np.where(v < levels, v, 0)
        self._holds = ((v >= levels) & (levels > 0)).astype(np.int64)
        accepts = [[not a.models or name in a.models for a in asks] for name in pool.model_names]
        self._often_on = np.array(accepts, bool) * self._often  # (models, T)
        self._needs_gpu = self._milli > 0

    def of(self, pool: HostPool, hosts: Int64s) -> Float64s:
        """Return the fragmentation of some hosts as they are, ``(k,)``."""
        rows = pool.gpu_left[hosts]
        return self._weigh(
            self._too_little[rows].sum(axis=1),
            self._holds[rows].sum(axis=1),
            pool.left[hosts],
            pool.cpu_left[hosts],
            pool.model[hosts],
        )

    def after(self, pool: HostPool, hosts: Int64s, ask: Ask) -> tuple[Float64s, Int64s]:
        """Return the fragmentation of hosts that fit once they hold the ask, ``(k,)``, and on which accelerator.

        The accelerator is the best one of each host for a part of one, and −1 otherwise.
        """
        rows = pool.gpu_left[hosts]
        little, holds = self._too_little[rows].sum(axis=1), self._holds[rows].sum(axis=1)
        left, cpu, model = pool.left[hosts] - ask.total_milli, pool.cpu_left[hosts] - ask.cpu_milli, pool.model[hosts]
        if not ask.is_share:
            holds = holds - ask.gpus * self._holds[WHOLE_MILLI]
            return self._weigh(little, holds, left, cpu, model), np.full(hosts.size, -1, np.int64)
        rest = rows - ask.gpu_milli
        can = rest >= 0
        rest = np.where(can, rest, 0)
        little = little[:, None] + self._too_little[rest] - self._too_little[rows]
        holds = holds[:, None] + self._holds[rest] - self._holds[rows]
        cost = np.where(can, self._weigh(little, holds, left[:, None], cpu[:, None], model[:, None]), np.inf)
        best = cost.argmin(axis=1)
        return cost[np.arange(hosts.size), best], best

    def _weigh(self, little: Int64s, holds: Int64s, left: Int64s, cpu: Int64s, model: Int64s) -> Float64s:
        """Average over the mix what cannot be used; the arrays' last axis of levels becomes that of the mix."""
        asks_fit = holds[..., self._level]
        often = self._often_on[model]
        total = left.astype(np.float64)
        cpu = cpu[..., None]
        on_gpus = np.where(asks_fit >= self._num, left[..., None] - little[..., self._level], 0)
        usable: npt.NDArray[Any] = np.where((cpu >= self._cpu) & self._needs_gpu, on_gpus, 0)
        if self._reach_frac:
            by_cpu = cpu // np.maximum(self._cpu, 1) * (self._num * self._milli)
            reached = np.where(self._cpu > 0, np.minimum(usable, by_cpu), usable)
            usable = self._reach_frac * reached + (1 - self._reach_frac) * usable
        wasted: Float64s = total - (often * usable).sum(axis=-1)
        return wasted

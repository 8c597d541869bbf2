"""A scheduler that rehearses: it fills the empty cluster by several rules and keeps the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np

from planner.replay.fragmentation import Float64s, Mix
from planner.replay.pool import Ask, Grant, HostPool, Int64s
from planner.replay.schedulers.scored import FragmentationGradient, ScoredScheduler

__all__ = ["FineGradient", "Rehearsed"]

_REHEARSAL_HOSTS = 1500
_REHEARSALS = 4  # of one alone the best of two nearly equal rules is a matter of luck
_REHEARSAL_LOAD = 1.3  # asked for over capacity: what a full cluster is fought over by
_TIGHTER_MILLI = 0.005  # a thousandth left counts as so much fragmentation: decides between nearly equal hosts


class FineGradient(FragmentationGradient):
    """FGD without rounding, and with a look at how many asks the processor reaches.

    Parameters
    ----------
    reach_frac
        See `Fragmentation`.
    """

    name = "fine-gradient"

    def __init__(self, reach_frac: float = 0.25) -> None:
        self.reach_frac = reach_frac

    def rate(self, pool: HostPool, hosts: Int64s, ask: Ask, falls_milli: Float64s) -> Float64s:
        """Return the fall, less a little for what the host has left."""
        return falls_milli - _TIGHTER_MILLI * pool.left[hosts]


class _CoarseGradient(FineGradient):
    """The published rounding, ties to the fuller host."""

    def rate(self, pool: HostPool, hosts: Int64s, ask: Ask, falls_milli: Float64s) -> Float64s:
        whole = FragmentationGradient.rate(self, pool, hosts, ask, falls_milli)
        return whole - 1e-6 * pool.left[hosts]


_RULES: tuple[Callable[[], FragmentationGradient], ...] = (
    FragmentationGradient,
    partial(FineGradient, 0.25),
    partial(FineGradient, 0.75),
    partial(_CoarseGradient, 0.25),
    partial(_CoarseGradient, 0.75),
)

_Host = tuple[int, int, int, str]


class Rehearsed(ScoredScheduler):
    """Chooses among gradients by a rehearsal on the expected mix; then places as the chosen one does.

    Each of four rehearsals fills the cluster, when empty, with asks drawn from the mix, the same for every rule; of
    more than some 1,500 hosts it takes every k-th.
    """

    name = "rehearsed"

    def prepare(self, pool: HostPool, mix: Mix, *, seed: int) -> None:
        """Rehearse. What comes out depends on hosts and mix alone, neither on their order nor on the seed."""
        names = [pool.model_names[m] for m in pool.model.tolist()]
        sizes = (pool.num_gpus.tolist(), pool.cpu_size.tolist(), pool.memory_size.tolist())
        hosts = tuple(sorted(zip(*sizes, names, strict=True)))
        self.chosen = _RULES[_best_rule(hosts[:: max(-(-len(hosts) // _REHEARSAL_HOSTS), 1)], mix)]()
        self.chosen.prepare(pool, mix, seed=seed)

    def choose(self, pool: HostPool, asks: Sequence[Ask]) -> list[Grant] | None:
        """Return what the chosen rule returns."""
        return self.chosen.choose(pool, asks)


@lru_cache(maxsize=64)
def _best_rule(hosts: tuple[_Host, ...], mix: Mix) -> int:
    """Return the number of the rule that gets most in; the first, FGD, unless another's lead is beyond chance.

    A lead is taken to be beyond chance if its mean over the rehearsals is above its standard error.
    """
    held = np.zeros((_REHEARSALS, len(_RULES)))
    for seed in range(_REHEARSALS):
        order = np.random.default_rng(seed).permutation(len(hosts)).tolist()
        gpus, cpu, memory, models = zip(*(hosts[i] for i in order), strict=True)
        drawn = _draw(mix, _REHEARSAL_LOAD * 1000 * sum(gpus), seed)
        for number, rule in enumerate(_RULES):
            pool = HostPool(gpus, cpu_milli=cpu, memory_mib=memory, models=models)
            held[seed, number] = _filled(pool, drawn, rule(), mix, seed)
    lead = held - held[:, :1]
    mean, error = lead.mean(axis=0), lead.std(axis=0, ddof=1) / np.sqrt(_REHEARSALS)
    return int(np.where(mean > error, mean, 0.0).argmax())


def _draw(mix: Mix, wanted_milli: float, seed: int) -> list[Ask]:
    """Draw asks from the mix until they ask for so much; none if the mix asks for nothing."""
    rng = np.random.default_rng(seed)
    drawn: list[Ask] = []
    asked = 0
    if not any(ask.total_milli for ask in mix.asks):
        return drawn
    while asked < wanted_milli:
        for i in rng.choice(len(mix.asks), 256, p=mix.often):
            drawn.append(mix.asks[i])
            asked += mix.asks[i].total_milli
    return drawn


def _filled(pool: HostPool, asks: Sequence[Ask], rule: FragmentationGradient, mix: Mix, seed: int) -> int:
    """Return how much a rule gets in."""
    rule.prepare(pool, mix, seed=seed)
    held = 0
    for ask in asks:
        grants = rule.choose(pool, (ask,))
        if grants is not None:
            pool.take(grants[0])
            held += ask.total_milli
    return held

"""Fit a fabric's `Efficiency` to measured collectives: least squares on the logarithm of time, each figure physical.

NCCL's choices stay its own; what is fitted is what links give and how long messages take. A parameter that no
measurement bears on keeps its default, and every one has bounds outside which it would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective, check_collective
from planner.collectives.efficiency import (
    LARGE_BYTES,
    Efficiency,
    SizeCorrection,
    default_efficiency,
    size_correction,
)
from planner.collectives.nccl.communicators import stack
from planner.collectives.nccl.constants import Algorithm, Protocol
from planner.collectives.nccl.from_fabric import Group, find_groups
from planner.collectives.nccl.selection import Picks, pick
from planner.collectives.nccl.timing import actual_times_s
from planner.collectives.nccl.tuning import SUPPORTED, TuningTable, tune
from planner.collectives.network_limits import NetworkLimits, network_limits
from planner.collectives.point_to_point import exchange_times_s, send_recv_times_s
from topologies.errors import InputError
from topologies.fabric import Fabric

__all__ = ["Fit", "Measured", "Parameter", "fit_efficiency", "prepare"]

_Floats = npt.NDArray[np.float64]

# (lower, upper) of each parameter, and by what factor it may stray from its default before the data must speak for it.
_BOUNDS: MappingProxyType[str, tuple[float, float]] = MappingProxyType(
    {
        "network_frac": (0.02, 1.0),
        "network_loss_frac": (0.0, 0.3),
        "scale_up_frac": (0.05, 1.25),
        "in_switch_frac": (0.02, 1.0),
        "tree_frac": (0.02, 1.0),
        "ll128_frac": (0.02, 1.25),
        "exchange_frac": (0.02, 1.0),
        "pair_frac": (0.02, 1.0),
        "latency_factor": (0.1, 50.0),
        "tree_latency_factor": (0.1, 50.0),
        "scale_up_latency_factor": (0.1, 50.0),
        "fill_factor": (0.0, 20.0),
    }
)
# Weight of the default against one measurement: enough to hold what the data leave open, too little to bend a fit.
_PRIOR_WEIGHT = 0.02
# The measurements bear on a figure if halving it moves all residuals together by more than this.
_BEARS_ABOVE = 0.1
# Residuals beyond this (a factor of e^0.1) count less than their square: one hiccup must not bend the fit.
_ROBUST_SCALE = 0.1
# The fit is refused if the typical residual is above this: the model does not describe what was measured.
_REFUSE_ABOVE_FRAC = 0.25
_LEAST_MEASUREMENTS = 3
# Size corrections need so many sizes, and keep so much of what the physical figures leave.
_LEAST_KNOTS = 3
_KEPT_FRAC = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured times of one collective over one group.

    Attributes
    ----------
    group
        Accelerators in rank order.
    collective
        Which.
    size_bytes, time_s
        ``(S,)`` each.
    algorithm
        NCCL's algorithm if it was forced; ``None`` for its own choice.
    collnet
        Whether the network reduced.
    name
        For messages.
    """

    group: npt.ArrayLike
    collective: str
    size_bytes: Sequence[float]
    time_s: Sequence[float]
    algorithm: Algorithm | None = None
    collnet: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One fitted figure: its default, its value, and whether the measurements bear on it."""

    name: str
    default: float
    value: float
    is_fitted: bool


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit and what it leaves unexplained.

    Attributes
    ----------
    efficiency
        The fitted figures.
    parameters
        What was fitted.
    residual_frac
        ``(M,)`` predicted ÷ measured − 1 of every measurement, in the order given.
    """

    efficiency: Efficiency
    parameters: tuple[Parameter, ...]
    residual_frac: _Floats

    @property
    def median_error_frac(self) -> float:
        """Median of the residuals' size."""
        return float(np.median(np.abs(self.residual_frac)))

    @property
    def p90_error_frac(self) -> float:
        """90 % quantile of the residuals' size."""
        return float(np.quantile(np.abs(self.residual_frac), 0.9))


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Everything of one `Measured` that does not depend on the efficiency."""

    group: Group
    collective: Collective
    sizes: _Floats
    time_s: _Floats
    limits: NetworkLimits
    table: TuningTable | None
    picks: Picks | None

    def times_s(self, efficiency: Efficiency) -> _Floats:
        """Predicted times, ``(S,)``."""
        if self.table is not None and self.picks is not None:
            frac = self.limits.through_frac
            times = actual_times_s([self.group], self.table, self.picks, self.sizes, efficiency, fabric_frac=frac)
        else:
            run = exchange_times_s if self.collective == "all-to-all" else send_recv_times_s
            times = run([self.group], self.limits, self.sizes, efficiency)
        fitted: _Floats = times.reshape(self.sizes.shape)
        return fitted * size_correction(efficiency, self.collective, self.group.num_units, self.sizes)

    def parameters(self) -> set[str]:
        """Names of the figures that this one depends on."""
        many = self.group.num_units > 1
        names = {"latency_factor" if many else "scale_up_latency_factor"}
        if self.collective == "all-to-all":
            return names | {"exchange_frac"} | ({"pair_frac"} if self.group.communicator.num_ranks == 2 else set())
        if self.collective == "send-recv":
            return names | ({"pair_frac"} if many else {"scale_up_frac"})
        assert self.picks is not None  # everything else has NCCL's picks
        switch = np.isin(self.picks.algorithm, (Algorithm.NVLS, Algorithm.NVLS_TREE))
        if switch.any() and self.collective == "all-reduce":
            names |= {"in_switch_frac", "fill_factor"}
        if many:
            names |= {"network_frac"}
            names |= {"tree_frac", "tree_latency_factor"} if (self.picks.algorithm == Algorithm.TREE).any() else set()
            names |= {"ll128_frac"} if (self.picks.protocol == Protocol.LL128).any() else set()
        elif not switch.all():
            names |= {"scale_up_frac"}
        return names


def prepare(fabric: Fabric, measured: Sequence[Measured]) -> list[_Prepared]:
    """Work out once what does not depend on the efficiency.

    Raises
    ------
    InputError
        If a group or a collective is not usable.
    """
    prepared = []
    for item in measured:
        op = check_collective(item.collective, where=item.name or "measurement")
        (group,) = find_groups(fabric, [item.group], collnet=item.collnet)
        sizes = np.asarray(item.size_bytes, dtype=np.float64)
        limits = network_limits(fabric, [item.group], op)
        table, picks = None, None
        if op in SUPPORTED:
            comms = stack([group.communicator])
            table = tune(comms, op)
            picks = pick(comms, table, sizes, algorithm=item.algorithm)
            if not np.isfinite(picks.time_s).all():
                picks = pick(comms, table, sizes)
        prepared.append(_Prepared(group, op, sizes, np.asarray(item.time_s, np.float64), limits, table, picks))
    return prepared


def _start(name: str, efficiency: Efficiency, prepared: Sequence[_Prepared]) -> float:
    value: float | None = getattr(efficiency, name)
    if value is not None:
        return value
    from planner.collectives.nccl.timing import IN_SWITCH_FRAC

    return IN_SWITCH_FRAC.get(prepared[0].group.communicator.architecture, 0.5)


def _least_squares(
    residuals: Callable[[_Floats], _Floats], start: _Floats, bounds: tuple[_Floats, _Floats]
) -> tuple[_Floats, _Floats]:
    """Return the solution, and how much the residuals turn with each figure there, ``(M, P)``."""
    from scipy.optimize import least_squares

    result: Any = least_squares(residuals, start, bounds=bounds, loss="soft_l1", f_scale=_ROBUST_SCALE)
    return result.x, result.jac


def _without_hiccups(residuals: _Floats) -> _Floats:
    """Return the running median of three, so that one odd run does not bend its neighbours; ends by Tukey's rule."""
    smooth = residuals.copy()
    smooth[1:-1] = np.median(np.stack([residuals[:-2], residuals[1:-1], residuals[2:]]), axis=0)
    smooth[0] = np.median([residuals[0], smooth[1], 3 * smooth[1] - 2 * smooth[2]])
    smooth[-1] = np.median([residuals[-1], smooth[-2], 3 * smooth[-2] - 2 * smooth[-3]])
    return smooth


def _corrections(items: Sequence[_Prepared], left: _Floats) -> tuple[SizeCorrection, ...]:
    """Turn what is left of the residuals into size corrections, one a collective and number of units.

    Sizes measured more than once are averaged; a correction keeps a part of each residual only, as much of it is
    chance.
    """
    found: dict[tuple[Collective, int], dict[float, list[float]]] = {}
    place = 0
    for item in items:
        knots = found.setdefault((item.collective, item.group.num_units), {})
        for size, residual in zip(item.sizes, left[place : place + len(item.sizes)], strict=True):
            knots.setdefault(float(size), []).append(float(residual))
        place += len(item.sizes)
    corrections = []
    for (collective, units), knots in found.items():
        if len(knots) < _LEAST_KNOTS:
            continue
        sizes = tuple(sorted(knots))
        smooth = _without_hiccups(np.array([np.mean(knots[size]) for size in sizes]))
        factors = tuple(np.exp(-_KEPT_FRAC * smooth).tolist())
        corrections.append(SizeCorrection(collective, units, sizes, factors))
    return tuple(corrections)


def fit_efficiency(
    fabric: Fabric,
    measured: Sequence[Measured],
    *,
    start: Efficiency | None = None,
    source: str = "calibrated",
    prepared: Sequence[_Prepared] | None = None,
) -> Fit:
    """Fit the efficiency of a fabric to measurements.

    Parameters
    ----------
    fabric, measured
        Where, and what was measured.
    start
        The defaults; the fabric's uncalibrated ones if ``None``.
    source
        Where the measurements come from; kept with the figures.
    prepared
        What `prepare` returned for `measured`, if it was called before.

    Raises
    ------
    InputError
        If there are too few measurements, or the fit does not fit.
    """
    items = list(prepared) if prepared is not None else prepare(fabric, measured)
    count = sum(len(item.sizes) for item in items)
    if count < _LEAST_MEASUREMENTS:
        raise InputError(
            what="too few measurements to fit", where=source, found=count, allowed=f"{_LEAST_MEASUREMENTS} or more"
        )
    base = start or default_efficiency(fabric)
    names = sorted(set().union(*(item.parameters() for item in items)))
    units = {item.group.num_units for item in items if item.group.num_units > 1}
    if len(units) > 1 and "network_frac" in names:
        names.append("network_loss_frac")
    defaults = np.array([_start(name, base, items) for name in names])
    lower = np.array([_BOUNDS[name][0] for name in names])
    upper = np.array([_BOUNDS[name][1] for name in names])
    begin = np.clip(defaults, lower + 1e-6, upper - 1e-6)
    span = np.maximum(begin, 0.05)

    def with_values(values: _Floats) -> Efficiency:
        changed: dict[str, Any] = dict(zip(names, map(float, values), strict=True))
        return replace(base, **changed)

    def log_residuals(efficiency: Efficiency) -> _Floats:
        return np.concatenate([np.log(item.times_s(efficiency) / item.time_s) for item in items])

    def residuals(values: _Floats) -> _Floats:
        prior = _PRIOR_WEIGHT * (values - begin) / span
        return np.concatenate([log_residuals(with_values(values)), prior])

    values, slopes = _least_squares(residuals, begin, (lower, upper))
    weight = np.linalg.norm(slopes[: -len(names)], axis=0) * span
    fitted = with_values(values)
    left = log_residuals(fitted)
    typical = float(np.median(np.abs(np.expm1(left))))
    if typical > _REFUSE_ABOVE_FRAC:
        raise InputError(
            what="the measurements do not fit the model, so the fit is not used",
            where=source,
            found=f"a median error of {typical:.0%} after fitting {', '.join(names)}",
            allowed=f"at most {_REFUSE_ABOVE_FRAC:.0%}",
            fix="check that the log is of this fabric, this group and a quiet network",
        )
    fitted = replace(fitted, corrections=_corrections(items, left))
    errors = np.expm1(log_residuals(fitted))
    band = _band(left, np.concatenate([item.sizes for item in items]), base)
    parameters = tuple(
        Parameter(name, float(default), float(value), bool(bears > _BEARS_ABOVE))
        for name, default, value, bears in zip(names, defaults, values, weight, strict=True)
    )
    return Fit(replace(fitted, source=source, error_frac=band[0], small_error_factor=band[1]), parameters, errors)


def _band(left: _Floats, sizes: _Floats, base: Efficiency) -> tuple[float, float]:
    """Return error and factor that nine of ten residuals keep, for large and small sizes; the default's if too few."""
    large, small = left[sizes >= LARGE_BYTES], left[sizes < LARGE_BYTES]
    error, factor = base.error_frac, base.small_error_factor
    if len(large) >= _LEAST_MEASUREMENTS:
        error = max(float(np.quantile(np.abs(np.expm1(large)), 0.9)), 0.01)
    if len(small) >= _LEAST_MEASUREMENTS:
        factor = max(float(np.exp(np.quantile(np.abs(small), 0.9))), 1.01)
    return error, factor

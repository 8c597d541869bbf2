"""Fits the constants of the step-time model to published runs, and judges them on runs that the fit never saw.

``python -m planner.validation.fit_train DIR`` reads ``DIR/measured/train.csv``, and prints

1. *in sample*: the errors of the constants in `planner.workloads.generations` on all counted runs;
2. *held out*: constants are fitted on one half of the runs from neutral starts, and judged on the other, both ways
   round; once with every second run in a half, and once, harder, with all runs of a model on an accelerator in the same
   half;
3. with ``--all``: constants fitted on all runs, beside those in the repository.

The fit lowers the mean of absolute relative errors of throughput one constant at a time, in ever smaller steps. It is
deterministic. What a framework hides of tensor parallel communication is fitted too, by framework, as `FRAMEWORKS`
says. The overlap tax of `planner.workloads.step_time` and what MoE frameworks hide stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from planner.validation.datadir import DataDir
from planner.validation.suites.train import TRAIN_FILE, predict
from planner.validation.suites.train_rows import TrainingCase, read_case
from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.generations import GENERATIONS, Generation
from topologies.errors import ScaleplanError

__all__ = ["Constants", "counted_cases", "errors_of", "fit", "halves", "main", "turns"]

# Where a fit starts: what long products reach of the peak on most machines, attention at half of that, memory at nine
# tenths, a few microseconds between kernels; no constant of the repository is looked at.
_START_GEMM, _START_ATTENTION, _START_MEMORY, _START_KERNEL_S = 0.6, 0.3, 0.85, 4e-6
_START_HIDDEN = 0.5
_BOUNDS = {"gemm": (0.1, 0.95), "attention": (0.05, 0.8), "memory": (0.6, 0.92), "kernel": (1e-6, 8e-6)}
_HIDDEN_BOUNDS = (0.0, 0.95)
_STEPS = (1.25, 1.1, 1.04, 1.015)
_ROUNDS = 2
_FITTED_FRAMEWORKS = ("megatron-core", "nemo")


@dataclass(frozen=True)
class Constants:
    """What is fitted: generations by name, and the hidden part of tensor parallel communication by framework."""

    generations: Mapping[str, Generation] = field(default_factory=lambda: dict(GENERATIONS))
    tp_hidden_frac: Mapping[str, float] = field(
        default_factory=lambda: {name: FRAMEWORKS[name].tp_hidden_frac for name in _FITTED_FRAMEWORKS}
    )

    @classmethod
    def neutral(cls) -> Constants:
        """Return where a fit starts."""
        generations = {
            g.name: replace(
                g,
                gemm_frac=dict.fromkeys(g.gemm_frac, _START_GEMM),
                attention_frac=dict.fromkeys(g.attention_frac, _START_ATTENTION),
                memory_frac=_START_MEMORY,
                kernel_s=_START_KERNEL_S,
            )
            for g in GENERATIONS.values()
        }
        return cls(generations, dict.fromkeys(_FITTED_FRAMEWORKS, _START_HIDDEN))

    def rate(self, case: TrainingCase) -> float:
        """Return the tokens a second and accelerator that a run is predicted to reach."""
        framework = case.job.framework
        # A run that says more of its framework than the catalogue (asynchronous tensor parallelism) keeps its own.
        if framework == FRAMEWORKS.get(framework.name) and framework.name in self.tp_hidden_frac:
            framework = replace(framework, tp_hidden_frac=self.tp_hidden_frac[framework.name])
        machine = replace(case.machine, generation=self.generations[case.machine.generation.name])
        return predict(replace(case, machine=machine, job=replace(case.job, framework=framework)))[0]


def counted_cases(data: DataDir) -> list[TrainingCase]:
    """Return the runs that the suite `train` counts."""
    read = (read_case(row) for row in data.rows(TRAIN_FILE))
    return [case for case in read if isinstance(case, TrainingCase) and case.quality.startswith("A")]


def errors_of(constants: Constants, cases: Sequence[TrainingCase]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the relative error of each run, absolute."""
    return np.array([abs(constants.rate(case) / case.tokens_per_s - 1) for case in cases])


def turns(cases: Sequence[TrainingCase]) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """Split runs in two: every second one, in the order of their names."""
    ordered = sorted(cases, key=lambda case: case.name)
    return ordered[::2], ordered[1::2]


def halves(cases: Sequence[TrainingCase]) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """Split runs in two: by turns of model and accelerator, in the order of generation, precision and model."""
    groups: dict[tuple[str, str, str, str], list[TrainingCase]] = {}
    for case in cases:
        key = (case.machine.generation.name, case.job.precision, case.job.model.name, case.machine.part.id)
        groups.setdefault((key[0], key[1], key[2], key[3]), []).append(case)
    # A model that runs in two precisions on one accelerator must not be in both halves.
    side: dict[tuple[str, str], int] = {}
    parts: tuple[list[TrainingCase], list[TrainingCase]] = ([], [])
    turn = 0
    for key in sorted(groups):
        pair = (key[2], key[3])
        if pair not in side:
            side[pair] = turn
            turn = 1 - turn
        parts[side[pair]].extend(groups[key])
    return parts


def fit(
    cases: Sequence[TrainingCase],
    start: Constants | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Constants:
    """Return the constants that lower the mean absolute relative error on some runs.

    Parameters
    ----------
    cases
        Runs; generations and kernels that none of them uses keep their start.
    start
        Where to start; `Constants.neutral` if ``None``.
    say
        Called with a line for each generation that is done.
    """
    constants = start or Constants.neutral()
    for _ in range(_ROUNDS):
        for name in constants.generations:
            own = [case for case in cases if case.machine.generation.name == name]
            if own:
                constants = _fit_generation(constants, name, own)
                say(f"{name}: mean error {float(errors_of(constants, own).mean()):.3f} on {len(own)} runs")
        for framework in _FITTED_FRAMEWORKS:
            own = [case for case in cases if case.job.framework.name == framework]
            if own:
                constants = _fit_framework(constants, framework, own)
    return constants


def _fit_generation(constants: Constants, name: str, cases: Sequence[TrainingCase]) -> Constants:
    knobs = _knobs(cases)

    def with_value(at: Constants, knob: tuple[str, str], value: float) -> Constants:
        generation = at.generations[name]
        kind, key = knob
        if kind == "gemm":
            changed = replace(generation, gemm_frac={**generation.gemm_frac, key: value})
        elif kind == "attention":
            changed = replace(generation, attention_frac={**generation.attention_frac, key: value})
        elif kind == "memory":
            changed = replace(generation, memory_frac=value)
        else:
            changed = replace(generation, kernel_s=value)
        return replace(at, generations={**at.generations, name: changed})

    def value_of(at: Constants, knob: tuple[str, str]) -> float:
        generation, (kind, key) = at.generations[name], knob
        by_key = {"gemm": generation.gemm_frac, "attention": generation.attention_frac}
        return by_key[kind][key] if kind in by_key else (
            generation.memory_frac if kind == "memory" else generation.kernel_s
        )  # fmt: skip

    touched = {knob: [case for case in cases if _touches(knob, case)] for knob in knobs}
    for step in _STEPS:
        for knob in knobs:
            low, high = _BOUNDS[knob[0]]
            constants = _descend(
                constants, touched[knob], step, (low, high),
                lambda at, value, knob=knob: with_value(at, knob, value),  # type: ignore[misc]
                value_of(constants, knob),
            )  # fmt: skip
    return constants


def _fit_framework(constants: Constants, framework: str, cases: Sequence[TrainingCase]) -> Constants:
    for step in _STEPS:
        constants = _descend(
            constants,
            cases,
            step,
            _HIDDEN_BOUNDS,
            lambda at, value: replace(at, tp_hidden_frac={**at.tp_hidden_frac, framework: value}),
            constants.tp_hidden_frac[framework],
        )
    return constants


def _descend(
    constants: Constants,
    cases: Sequence[TrainingCase],
    step: float,
    bounds: tuple[float, float],
    changed: Callable[[Constants, float], Constants],
    value: float,
) -> Constants:
    """Move one constant by a factor, up or down, for as long as the error falls."""
    best = float(errors_of(constants, cases).mean())
    for factor in (step, 1 / step):
        moved = False
        while True:
            tried = min(max(value * factor, bounds[0]), bounds[1])
            if tried == value:
                break
            other = changed(constants, tried)
            error = float(errors_of(other, cases).mean())
            if error >= best - 1e-6:
                break
            constants, value, best, moved = other, tried, error, True
        if moved:
            break
    return constants


def _knobs(cases: Sequence[TrainingCase]) -> list[tuple[str, str]]:
    """Return the constants that some runs depend on, those of matrix products first."""
    precisions = dict.fromkeys(sorted({case.job.precision for case in cases} | {"bf16"}))
    kernels = sorted({case.job.framework.attention for case in cases if case.job.framework.fused_attention})
    return [
        *(("gemm", precision) for precision in precisions),
        *(("attention", kernel) for kernel in kernels),
        ("memory", ""),
        ("kernel", ""),
    ]


def _touches(knob: tuple[str, str], case: TrainingCase) -> bool:
    kind, key = knob
    if kind == "gemm":
        return key in ("bf16", case.job.precision)
    return kind != "attention" or case.job.framework.attention == key


def _told(name: str, errors: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    middle, ninety = np.quantile(errors, (0.5, 0.9))
    return (
        f"{name}: {len(errors)} runs, median error {middle:.1%}, 90 % quantile {ninety:.1%}, mean {errors.mean():.1%}"
    )


def _compared(fitted: Constants) -> list[str]:
    lines = []
    for name, new in fitted.generations.items():
        old = GENERATIONS[name]
        pairs = [(f"gemm {p}", old.gemm_frac[p], new.gemm_frac[p]) for p in old.gemm_frac]
        pairs += [(f"attention {k}", old.attention_frac[k], new.attention_frac[k]) for k in old.attention_frac]
        pairs += [("memory", old.memory_frac, new.memory_frac), ("kernel us", old.kernel_s * 1e6, new.kernel_s * 1e6)]
        lines += [f"  {name} {what}: {here:.3g} here, {there:.3g} fitted" for what, here, there in pairs]
    lines += [
        f"  {name} hides {FRAMEWORKS[name].tp_hidden_frac:.3g} here, {frac:.3g} fitted"
        for name, frac in fitted.tp_hidden_frac.items()
    ]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print errors in sample and held out."""
    parser = argparse.ArgumentParser(description="Fit and judge the constants of the step-time model.")
    parser.add_argument("directory", type=Path, help="a directory with measured/train.csv")
    parser.add_argument("--all", action="store_true", help="fit on all runs too, and print the constants")
    asked = parser.parse_args(argv)

    def tell(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def progress(text: str) -> None:
        sys.stderr.write(text + "\n")

    try:
        cases = counted_cases(DataDir(asked.directory))
        if not cases:
            tell("no run counts")
            return 1
        tell(_told("in sample, constants of the repository", errors_of(Constants(), cases)))
        for name, sides in (("every second run", turns(cases)), ("by model and accelerator", halves(cases))):
            held = []
            for own, other in (sides, sides[::-1]):
                fitted = fit(own, say=progress)
                tell(_told(f"{name}: fitted on {len(own)} runs, in sample", errors_of(fitted, own)))
                held.append(errors_of(fitted, other))
            tell(_told(f"{name}: held out, both ways round", np.concatenate(held)))
        if asked.all:
            fitted = fit(cases, say=progress)
            tell(_told("fitted on all runs, in sample", errors_of(fitted, cases)))
            for line in _compared(fitted):
                tell(line)
    except ScaleplanError as error:
        sys.stderr.write(error.message + "\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

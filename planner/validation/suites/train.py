"""Published training runs: throughput, ratios between runs, and the eight points of Megatron's recomputation paper.

A row is predicted from its columns and one set of constants a generation; what it leaves blank is searched as its
authors will have done: the fastest way that fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target, quantile
from planner.validation.suites.train_rows import TrainingCase, read_case
from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.machine import machine_of_part
from planner.workloads.model_catalogue import find_model
from planner.workloads.step_time import step_times
from planner.workloads.training import Mappings, TrainingJob
from topologies.parts_catalog import load_parts

__all__ = ["SUITE", "TRAIN_FILE", "predict"]

TRAIN_FILE = "measured/train.csv"
# Iteration times of Korthikanti et al. 2022 (arXiv:2205.05198, table 5) on A100-80GB: model, tensor and pipeline
# parallel size, chunks, global batch, micro-batch, seconds with full recomputation, seconds with sequence parallelism
# and selective recomputation. Calculon (Isaev et al., SC23) is within 3.65 % on average and 8.87 % at most on them.
_RECOMPUTE_POINTS = (
    ("gpt-22b", 8, 1, 1, 4, 4, 1.42, 1.10),
    ("gpt3-175b", 8, 8, 3, 64, 1, 18.13, 13.75),
    ("gpt-530b", 8, 35, 3, 280, 1, 49.05, 37.83),
    ("megatron-1t", 8, 64, 1, 512, 1, 94.42, 71.49),
)
_CALCULON_MEAN, _CALCULON_MAX = 0.0365, 0.0887
# Two throughputs that differ by less say nothing of a direction: runs repeat to about this.
_NOISE_FRAC = 0.03


def predict(case: TrainingCase) -> tuple[float, int, bool]:
    """Return predicted tokens a second and accelerator, which mapping that is, and whether it fits."""
    times = step_times(case.job, case.machine, case.mappings)
    fits = times.memory.fits
    total = np.where(fits, times.total_s, np.inf) if fits.any() else times.memory.total_bytes
    best = int(np.argmin(total))
    rate = case.job.tokens_a_step / float(times.total_s[best]) / case.machine.num_accelerators
    return rate, best, bool(fits[best])


def _throughputs(data: DataDir) -> tuple[list[tuple[TrainingCase, float]], list[Case]]:
    predicted, cases = [], []
    for row in data.rows(TRAIN_FILE):
        read = read_case(row)
        if isinstance(read, str):
            cases.append(Case(row.text("case_id"), "throughput", counts=False, why_not=read))
            continue
        rate, best, fits = predict(read)
        good = read.quality.startswith("A")
        cases.append(
            Case.of_figures(
                read.name,
                "throughput",
                read.tokens_per_s,
                rate,
                "tokens/s",
                counts=good,
                why_not="" if good else f"quality {read.quality[:1]}",
                detail={
                    "family": read.family,
                    "accelerators": read.machine.num_accelerators,
                    "part": read.machine.part.id,
                    **read.mappings.row(best),
                    "fits": fits,
                },
            )
        )
        if good:
            predicted.append((read, rate))
    return predicted, cases


def _ways(case: TrainingCase) -> set[tuple[float, ...]]:
    """Return the ways to spread the model, but for copies and micro-batches, that agree with what was published."""
    m = case.mappings
    return set(zip(m.tp.tolist(), m.cp.tolist(), m.pp.tolist(), m.ep.tolist(), strict=True))


def _ratios(predicted: Sequence[tuple[TrainingCase, float]]) -> Iterator[Case]:
    """Compare runs of one source, model, precision and architecture that differ in the accelerators or the domain.

    The architecture is the major compute capability, or the generation where a part has none: B200, B300, GB200 and
    GB300 are one.
    """
    groups: dict[tuple[object, ...], list[tuple[TrainingCase, float]]] = {}
    for case, rate in predicted:
        job = case.job
        capability = int(case.machine.part.number("compute_capability", 0.0))
        key = (
            case.family, job.model.name, job.seq, job.precision, job.kind, capability or case.machine.generation.name
        )  # fmt: skip
        groups.setdefault(key, []).append((case, rate))
    for members in groups.values():
        for (a, rate_a), (b, rate_b) in combinations(members, 2):
            one, other = a.machine, b.machine
            # A curve of scale has one way to spread the model, published, and more and more copies of it.
            ways = _ways(a) | _ways(b)
            scale = one.part.id == other.part.id and one.num_accelerators != other.num_accelerators and len(ways) == 1
            # Machines of one architecture, one size and one batch that differ in the domain a run can use.
            alike = one.num_accelerators == other.num_accelerators and a.job.global_batch == b.job.global_batch
            domain = alike and one.domain != other.domain
            if not (scale or domain):
                continue
            measured, told = a.tokens_per_s / b.tokens_per_s, rate_a / rate_b
            close = abs(measured - 1) < _NOISE_FRAC or abs(told - 1) < _NOISE_FRAC
            yield Case.of_figures(
                f"{a.name} ÷ {b.name}",
                "scale ratio" if scale else "domain ratio",
                measured,
                told,
                "ratio",
                agrees=close or (measured > 1) == (told > 1),
            )


def _recompute_points() -> Iterator[Case]:
    part = load_parts()["a100-sxm-80g"]
    for name, tp, pp, chunks, batch, micro_batch, full_s, selective_s in _RECOMPUTE_POINTS:
        for frac, measured_s in ((1.0, full_s), (0.0, selective_s)):
            framework = replace(FRAMEWORKS["megatron-2022"], sequence_parallel=frac == 0.0)
            job = TrainingJob(find_model(name), 2048, batch, "bf16", framework)
            mapping = Mappings.of(
                tp=tp, pp=pp, dp=1, virtual=chunks, micro_batch=micro_batch, zero=0, recompute_frac=frac
            )
            total = float(step_times(job, machine_of_part(part, tp * pp), mapping).total_s[0])
            label = "full recomputation" if frac else "sequence parallel, selective"
            yield Case.of_figures(f"{name} {label}", "recomputation", measured_s, total, "s")


class TrainSuite:
    """Published training runs."""

    name = "train"
    title = "published training runs: throughput, ratios of scale and domain, Megatron's recomputation table"
    files = (TRAIN_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Predict every row."""
        predicted, cases = _throughputs(data)
        points = list(_recompute_points())
        ratios = list(_ratios(predicted))
        counted = [case for case in cases if case.counts and case.error_frac is not None]
        errors = [case.error_frac for case in counted if case.error_frac is not None]
        point_errors = [case.error_frac for case in points if case.error_frac is not None]
        votes = [bool(case.agrees) for case in ratios]

        def ratio_error(kind: str) -> float | None:
            return quantile([c.error_frac for c in ratios if c.kind == kind and c.error_frac is not None], 0.5)

        targets = [
            Target("throughput median_error_frac", quantile(errors, 0.5), 0.10),
            Target("throughput p90_error_frac", quantile(errors, 0.9), 0.25),
            Target("recomputation mean_error_frac", float(np.mean(point_errors)), _CALCULON_MEAN),
            Target("recomputation max_error_frac", max(point_errors), _CALCULON_MAX),
            Target("scale ratio median_error_frac", ratio_error("scale ratio"), 0.08),
            Target("domain ratio median_error_frac", ratio_error("domain ratio"), 0.08),
            Target("ratio direction_frac", sum(votes) / len(votes) if votes else None, 1.0, ">="),
        ]
        by_family: dict[str, list[float]] = {}
        for case in counted:
            if case.error_frac is not None:
                by_family.setdefault(str(case.detail["family"]), []).append(case.error_frac)
        left_out = Counter(case.why_not for case in cases if case.why_not)
        return SuiteOutcome(
            [*cases, *points, *ratios],
            targets,
            [f"{count} rows left out: {why}" for why, count in left_out.most_common()],
            metrics={
                "rows": len(counted),
                "families": len(by_family),
                "ratios": dict(Counter(case.kind for case in ratios)),
                "median_error_frac_by_family": {name: quantile(errs, 0.5) for name, errs in sorted(by_family.items())},
            },
            summary_kinds=frozenset({"throughput"}),
        )


SUITE = TrainSuite()

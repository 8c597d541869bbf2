"""The fit of the training constants finds constants that made the runs, and holds halves apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from planner.validation.datadir import DataDir
from planner.validation.fit_train import Constants, counted_cases, errors_of, fit, halves, turns
from planner.validation.suites.train_rows import TrainingCase

DATA = DataDir(Path(__file__).parent / "data")


@pytest.fixture(scope="module")
def ampere() -> list[TrainingCase]:
    cases = counted_cases(DATA)
    return [case for case in cases if case.machine.generation.name == "ampere"][:6]


def test_a_fit_finds_the_rate_that_made_the_runs(ampere: list[TrainingCase]) -> None:
    start = Constants.neutral()
    generation = start.generations["ampere"]
    truth = replace(start, generations={**start.generations, "ampere": replace(generation, gemm_frac={"bf16": 0.75})})
    made = [replace(case, tokens_per_s=truth.rate(case)) for case in ampere]
    before, fitted = errors_of(start, made).mean(), fit(made)
    assert before > 0.1
    assert errors_of(fitted, made).mean() < before / 10
    assert fitted.generations["ampere"].gemm_frac["bf16"] == pytest.approx(0.75, rel=0.05)
    assert fitted.generations["hopper"] == start.generations["hopper"]


def test_halves_share_no_model_on_an_accelerator() -> None:
    cases = counted_cases(DATA)
    for split in (halves, turns):
        one, other = split(cases)
        assert len(one) + len(other) == len(cases)
        assert {c.name for c in one}.isdisjoint(c.name for c in other)
    one, other = halves(cases)
    assert {(c.job.model.name, c.machine.part.id) for c in one}.isdisjoint(
        (c.job.model.name, c.machine.part.id) for c in other
    )
    assert min(len(one), len(other)) > len(cases) / 3


def test_the_constants_of_the_repository_are_within_the_targets_in_sample() -> None:
    errors = sorted(errors_of(Constants(), counted_cases(DATA)))
    assert len(errors) >= 200
    assert errors[len(errors) // 2] <= 0.10
    assert errors[int(0.9 * len(errors))] <= 0.25

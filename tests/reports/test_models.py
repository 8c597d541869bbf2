"""Every figure links to how it was made, with the error of the model behind it as the suites measure it."""

import re
from pathlib import Path

import pytest

from planner.validation.runner import run_suites
from reports.models import MODELS, model_errors, suites_behind
from reports.pages.fabric import FabricPage
from tests.reports.studies import fabric_study

DATA = Path(__file__).parents[1] / "validation" / "data"


def test_errors_that_are_told_are_those_that_the_suites_measure() -> None:
    """Two quick suites; `make errors` renews all when a model changes."""
    from reports.models import _measured

    for suite in run_suites(DATA, ["pairwise", "bill"], say=lambda text: None).suites:
        measured = {target.metric: target.value for target in suite.outcome.targets}
        for metric, value in _measured()[suite.name].items():
            assert measured[metric] == pytest.approx(value, rel=1e-3)


def test_every_model_has_its_suites_and_words() -> None:
    assert suites_behind() == ["bill", "contention", "nccl", "pairwise", "replay", "sweeps", "train"]
    for name, model in MODELS.items():
        told = model_errors(name)
        assert len(told) == len(model.told)
        assert all(re.search(r"\d+(\.\d+)? ?%", words) for words, _ in told)


def test_figures_link_to_how_they_were_made() -> None:
    page = FabricPage().render(fabric_study("leaf-spine-4to1"))
    sections = re.findall(r'<section id="(\w+)".*?</section>', page, flags=re.S)
    assert "made" in sections
    for text in re.findall(r'<section id="\w+".*?</section>', page, flags=re.S):
        if 'class="figure"' in text or 'class="explorer"' in text:
            assert '<a href="#made">How this was made</a>' in text
    assert 'href="#model-collectives">Collectives</a>: half of published all-reduces are within' in page
    assert 'id="model-collectives"' in page
    assert "suite sweeps" in FabricPage().render_markdown(fabric_study("leaf-spine-4to1"))

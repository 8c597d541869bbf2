"""The example report of each kind keeps its structure: `pytest --update-golden` after looking at the change."""

from collections.abc import Callable

import pytest

from reports.page import Page
from reports.pages.compare import ComparePage
from reports.pages.fabric import FabricPage
from reports.pages.observe import ObservePage
from reports.pages.placement import PlacementPage
from reports.pages.replay import ReplayPage
from reports.pages.score import ScorePage
from reports.pages.weigh import WeighPage
from tests.fixtures.golden_text import GoldenText
from tests.reports.structure import structure
from tests.reports.studies import (
    compare_study,
    fabric_study,
    observe_study,
    placement_study,
    replay_study,
    score_study,
    weigh_study,
)

PAGES: dict[str, Callable[[], Page]] = {
    "fabric": lambda: FabricPage().page(fabric_study("dgx-h100-superpod-1su")),
    "placement": lambda: PlacementPage().page(placement_study(solvers=("first-fit", "random"))),
    "score": lambda: ScorePage().page(score_study()),
    "weigh": lambda: WeighPage().page(weigh_study()),
    "sweep": lambda: WeighPage().page(weigh_study(sweep=("scale_up_domain=8,72",))),
    "replay": lambda: ReplayPage().page(replay_study()),
    "observe": lambda: ObservePage().page(observe_study()),
    "compare": lambda: ComparePage().page(compare_study()),
}


@pytest.mark.parametrize("kind", list(PAGES))
def test_every_kind_of_report_keeps_its_structure(kind: str, golden: GoldenText) -> None:
    golden(f"reports/{kind}.txt", structure(PAGES[kind]()))

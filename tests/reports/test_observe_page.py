"""The page of an observed Slurm adds up what the journal says."""

import re

import numpy as np

from reports.figures.observed import saved_over_time_figure
from reports.pages.observe import ObservePage
from tests.reports.studies import observe_study


def test_the_answer_adds_up() -> None:
    page = ObservePage().page(observe_study())
    assert page.answer[0].startswith("Of 3 jobs that Slurm started in the last 7 days, 1 would have run on fewer leaf")
    assert "40% fewer in all (3 instead of 5)" in page.answer[0]
    assert "100% fewer ring edges that leave a leaf (0 instead of 4)" in page.answer[0]
    saved = page.blocks[1].table
    assert saved is not None
    assert [list(row) for row in saved.rows] == [
        ["2", 1, 1.0, 1.0, 0.0, 0.0], ["3–4", 1, 3.0, 1.0, 4.0, 0.0], ["257 and more", 1, 1.0, 1.0, 0.0, 0.0]
    ]  # fmt: skip
    jobs = page.blocks[2].table
    assert jobs is not None
    assert jobs.rows[0] == ["7", 4, 3, 1, 4, "n[0-3]"]


def test_edges_add_up_over_time() -> None:
    slurm, planned = saved_over_time_figure(np.array([0.0, 3600.0]), np.array([2.0, 3.0]), np.array([1.0, 0.0])).data
    assert list(slurm.x) == [0.0, 1.0]
    assert list(slurm.y) == [2.0, 5.0]
    assert list(planned.y) == [1.0, 1.0]


def test_nothing_observed_is_said() -> None:
    study = observe_study()
    empty = type(study)(study.title, 1.0, {}, [], study.provenance)
    assert ObservePage().page(empty).answer == ["No job of the last 1 days could be observed yet."]
    assert "No job of the last" in ObservePage().render(empty)


def test_hostile_text_stays_text() -> None:
    html = re.sub(r"<script.*?</script>", "", ObservePage().render(observe_study()), flags=re.S)
    assert "<img src=x" not in html
    assert not re.search(r"(?<!\\)<", ObservePage().render_markdown(observe_study()))

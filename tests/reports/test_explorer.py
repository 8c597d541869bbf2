"""The explorer's data are the fabric and the placements, packed small."""

import base64
import json

import numpy as np
import pytest

from planner.report import PlacementStudy
from reports.explorer import explorer_json
from tests.reports.studies import placement_study
from topologies.fabric import LinkKind
from topologies.files.fabric_file import load_fabric


@pytest.fixture(scope="module")
def study() -> PlacementStudy:
    return placement_study()


def unpack(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_cables_join_the_units_that_the_fabric_joins(study: PlacementStudy) -> None:
    fabric = study.problem.fabric
    data = json.loads(explorer_json(fabric))
    names = [*data["hosts"], *data["switches"]]
    a, b = unpack(data["cableA"], "<i4"), unpack(data["cableB"], "<i4")
    rate, port = unpack(data["cableRate"], "u1"), unpack(data["cablePort"], "i1")
    cables = np.flatnonzero(fabric.link_kind[::2] == LinkKind.SCALE_OUT) * 2
    assert len(a) == len(cables) == 504  # 31 hosts x 8 NICs, 8 leaves x 4 spines x 8 cables
    for k in (0, 100, 247, 248, 503):
        ends = [str(fabric.node_names[n]) for n in (fabric.link_source[cables[k]], fabric.link_target[cables[k]])]
        assert [names[a[k]], names[b[k]]] == [end.split("/")[0] for end in ends]
        assert data["rates"][rate[k]] == 400.0
    assert sorted(set(port[a < fabric.num_hosts].tolist() + port[b < fabric.num_hosts].tolist()))[-1] == 7
    assert set(port[(a >= fabric.num_hosts) & (b >= fabric.num_hosts)].tolist()) == {-1}


def test_each_view_is_its_result(study: PlacementStudy) -> None:
    problem = study.problem
    data = json.loads(explorer_json(problem.fabric, problem, study.results))
    assert [view["solver"] for view in data["views"]] == [r.solver for r in study.results]
    cables = np.flatnonzero(problem.fabric.link_kind[::2] == LinkKind.SCALE_OUT) * 2
    for view, result in zip(data["views"], study.results, strict=True):
        owner = unpack(view["job"], "<u2")
        for number, job in enumerate(problem.jobs, start=1):
            mine = np.sort(result.placement.ranks.get(job.id, np.empty(0, np.int64)))
            assert np.array_equal(np.flatnonzero(owner == number), mine)
        report = result.score.congestion
        both = np.maximum(report.link_demand_frac[cables], report.link_demand_frac[cables + 1])
        assert np.abs(unpack(view["demand"], "<u2") / 1000 - both).max() <= 0.001
        placed = [i for i, job in enumerate(problem.jobs) if job.id in result.placement]
        for cable, count, numbers in view["cableJobs"][:40]:
            there = np.union1d(report.jobs_on(int(cables[cable])), report.jobs_on(int(cables[cable]) + 1))
            assert numbers == [placed[j] + 1 for j in there][:12]
            assert count == len(there)


def test_jobs_by_link_is_jobs_on_for_many(study: PlacementStudy) -> None:
    report = study.results[1].score.congestion
    links = report.hottest_links(200)
    assert len(links) > 50
    for link, jobs in zip(links.tolist(), report.jobs_by_link(links), strict=True):
        assert np.array_equal(jobs, report.jobs_on(link))
    assert report.jobs_by_link(links[:0]) == []


def test_a_hundred_thousand_accelerators_stay_small() -> None:
    assert len(explorer_json(load_fabric("hgx-h100-131072"))) < 5_000_000


@pytest.mark.parametrize("name", ["lingjun-2023", "tpu-v5p-cube", "three-pools", "dragonfly-plus-1024", "nvl576"])
def test_every_kind_of_fabric_is_packed(name: str) -> None:
    fabric = load_fabric(name)
    data = json.loads(explorer_json(fabric))
    units = len(data["hosts"]) + len(data["switches"])
    ends = np.concatenate([unpack(data["cableA"], "<i4"), unpack(data["cableB"], "<i4")])
    assert not len(ends) or (ends.min() >= 0 and ends.max() < units)
    assert len(unpack(data["gpuPort"], "i1")) == fabric.num_accelerators

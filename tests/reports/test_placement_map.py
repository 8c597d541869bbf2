"""The placement view tells why what is idle is idle, and who moves."""

import numpy as np

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from planner.report import PlacementStudy, Provenance
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from reports.figures.placement_map import idle_by_cause, moved_jobs, placement_map
from reports.pages.placement import PlacementPage
from topologies.files.fabric_file import load_fabric

FABRIC = load_fabric("leaf-spine-4to1")  # hosts of 8
HOST = FABRIC.host_accelerators


def problem(*jobs: Job, drained: int | None = None, running: dict[str, np.ndarray] | None = None) -> Problem:
    state = ClusterState.empty(FABRIC)
    if drained is not None:
        state = state.with_hosts(FABRIC, [FABRIC.host_names[drained]], Availability.DRAINED)
    return Problem(FABRIC, state, jobs, running=running or {})


def test_idle_accelerators_by_what_keeps_the_rest_from_them() -> None:
    asked = (Job("a", 5), Job("b", 8, accelerators_per_host=8))
    case = problem(*asked, drained=2)
    placed = Placement({"a": HOST(0)[:5]})
    idle = idle_by_cause(case, placed, [asked[1]])
    assert [int(idle[cause][0]) for cause in ("free", "scattered", "not enough", "not available")] == [0, 3, 0, 0]
    assert [int(idle[cause][1]) for cause in ("free", "scattered", "not enough", "not available")] == [0, 0, 8, 0]
    assert int(idle["not available"][2]) == 8
    assert sum(int(counts.sum()) for counts in idle.values()) == FABRIC.num_accelerators - 5
    nobody_left = idle_by_cause(case, placed, [])
    assert int(nobody_left["free"].sum()) == FABRIC.num_accelerators - 5 - 8


def test_hatches_stand_on_idle_hosts_and_rings_on_moved_jobs() -> None:
    asked = (Job("a", 8), Job("b", FABRIC.num_accelerators))
    case = problem(*asked, drained=2)
    figure = placement_map(case, Placement({"a": HOST(0)}), refused=[asked[1]], moved=["a"])
    signs = {trace.name: len(trace.x) for trace in figure.data[1:]}
    assert signs == {
        "stranded: not enough in one place": FABRIC.num_hosts - 2,
        "not available": 1,
        "moves": 1,
    }


def test_moves_are_told_with_where_from_and_where_to() -> None:
    before = {"a": HOST(0).copy(), "b": HOST(5).copy()}
    case = problem(Job("a", 8, move_cost=1.0), Job("b", 8), Job("c", 8), running=before)
    result = get_solver("first-fit").solve(case, time_limit_s=1, seed=1)
    moved = moved_jobs(Placement(before), result.placement)
    page = PlacementPage().page(PlacementStudy("t", case, (result,), Provenance("x", {})))
    (block,) = [block for block in page.blocks if block.id == "moves"]
    assert block.lead.startswith(
        f"{len(moved)} of 2 running jobs move, {8 * len(moved)} accelerators in all; 1 jobs are new"
    )
    assert [panel.title for panel in block.panels] == ["Before", "After"]
    assert block.table is not None
    assert [row[0] for row in block.table.rows] == moved
    assert moved_jobs(Placement(before), Placement({"a": HOST(1), "b": HOST(5)[::-1]})) == ["a"]

"""Small studies that tests of reports and of the browser make pages of."""

from dataclasses import replace
from functools import cache

from planner.collectives.measured.calibrate import ComparedRow
from planner.collectives.traffic import Demand
from planner.congestion.collisions import collisions
from planner.evaluate import flows_of
from planner.files.result_json import result_as_dict
from planner.job import Job
from planner.problem import Problem
from planner.replay.rules import Outage, Rules
from planner.replay.study import Setting, replay_policies
from planner.report import (
    CompareStudy,
    FabricStudy,
    Judged,
    ObserveStudy,
    PlacementStudy,
    Provenance,
    ReplayStudy,
    ScoreStudy,
    WeighStudy,
)
from planner.slurm.journal import Decision
from planner.solver import get_solver
from planner.state import Availability, ClusterState
from planner.traces.trace import Trace, TraceJob
from planner.weigh.decide import decide, pareto_front
from planner.weigh.study_file import named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points
from topologies.files.fabric_file import load_fabric

HOSTILE = (
    "<script>window.hit=1</script>",
    "</script><script>window.hit=2</script>",
    '"><img src=x onerror="window.hit=3">',
    "{{ 7 * 7 }} ${7*7} {% raw %}",
    "$(reboot) `reboot`; ' OR 1=1 --",
    "Gemüsegärtner — größtes Modell",
    "大規模言語モデルの学習",
    "תרגום מכונה ערבית‏",
    "x" * 10_000,
)


def placement_study(
    fabric_name: str = "dgx-h100-superpod-1su", solvers: tuple[str, ...] = ("cp-sat", "first-fit", "slurm-tree")
) -> PlacementStudy:
    fabric = load_fabric(fabric_name)
    jobs = [Job(name, 8 * (1 + i % 3), accelerators_per_host=8, traffic=Demand(1e9)) for i, name in enumerate(HOSTILE)]
    jobs.append(Job("too-large", fabric.num_accelerators, traffic=Demand(1e9)))
    state = ClusterState.empty(fabric).with_hosts(fabric, [fabric.host_names[3]], Availability.DRAINED)
    problem = Problem(fabric, state, tuple(jobs), routing="ecmp")
    results = tuple(get_solver(name).solve(problem, time_limit_s=2, seed=1) for name in solvers)
    made = Provenance("scaleplan place …", {"f.yaml": "sha256 0"}, {"scaleplan": "0"})
    return PlacementStudy(f"Placement {HOSTILE[0]}", problem, results, made, notes=(HOSTILE[2],))


def fabric_study(fabric_name: str) -> FabricStudy:
    return FabricStudy(fabric_name, load_fabric(fabric_name), Provenance("scaleplan report …", {}, {}))


MADE = Provenance("scaleplan weigh …", {"s.yaml": "sha256 0"}, {"scaleplan": "0"})


@cache
def weigh_study(*, sweep: tuple[str, ...] = ()) -> WeighStudy:
    """Return two designs on two workloads, one of each by a hostile name."""
    known = named_study(["hgx-b200", "gb200-nvl72"], ["llama3-405b", "deepseek-v3"], [576])
    designs = (replace(known.designs[0], name=HOSTILE[0]), known.designs[1])
    workloads = (replace(known.workloads[0], name=HOSTILE[2]), known.workloads[1])
    if sweep:
        designs, workloads = designs[1:], workloads[:1]
    study = replace(known, designs=designs, workloads=workloads)
    varied = parse_sweep(list(sweep))
    cells = run_points(points_of(study, varied))
    decision = {} if sweep else decide(study, cells)
    return WeighStudy(HOSTILE[7], study, cells, pareto_front(cells), decision, MADE, [name for name, _ in varied])


@cache
def replay_study() -> ReplayStudy:
    """Return 120 jobs of hostile tenants on 31 hosts of 8, one of which fails for a while."""
    fabric = load_fabric("dgx-h100-superpod-1su")
    jobs = tuple(
        TraceJob(f"j{i}", 600.0 * i, 3600.0 * (1 + i % 7), (1, 4, 8, 16, 64, 128)[i % 6], tenant=HOSTILE[i % 9])
        for i in range(120)
    )
    rules = Rules("fifo", "easy", outages=(Outage(0, 3600.0, 40_000.0),))
    trace = Trace(jobs, {HOSTILE[1]: 3}, HOSTILE[2])
    setting = Setting(usd_per_gpu_hour=2.0)
    outcomes = replay_policies(fabric, trace, ["best-fit", "first-fit"], rules, setting).policies
    told = {"order": "fifo", "backfill": "easy", "congestion": "not scored", "seed": "1"}
    return ReplayStudy(HOSTILE[6], fabric, trace.source, len(jobs), trace.mended, outcomes, told, MADE)


@cache
def score_study() -> ScoreStudy:
    """Return the random placement of the hostile jobs over leaf groups, hashed ten times, with four measured rows."""
    found = placement_study("leaf-spine-4to1", ("random",))
    (result,) = found.results
    rows = tuple(
        ComparedRow("run.log", "all-reduce", 16, 2, 2**k, 1e-3 * 2**k / 2**20, 1.1e-3 * 2**k / 2**20, "Ring", "Simple")
        for k in (20, 22, 24, 30)
    )
    judged = Judged("this placement", result.placement, result.score)
    draws = collisions(found.problem.live_fabric, flows_of(found.problem, result.placement), num_samples=10)
    return ScoreStudy(HOSTILE[8], found.problem, judged, MADE, 1, draws, rows, "uncalibrated")


def observe_study() -> ObserveStudy:
    """Return three observed jobs: one that planning would have put on one leaf, not three; two as good already."""
    decisions = [
        Decision(
            1e9 + 600 * i,
            name,
            0,
            "would",
            tuple(f"n{k}" for k in range(nodes)),
            "why",
            {"leaves": 1, "leaves_slurm": leaves, "uplinks": 0, "uplinks_slurm": 2 * (leaves - 1)},
        )
        for i, (name, nodes, leaves) in enumerate([("7", 4, 3), (HOSTILE[0], 2, 1), ("9_1", 300, 1)])
    ]
    return ObserveStudy(HOSTILE[5], 7.0, {"jobs observed": 3, HOSTILE[2]: 1}, decisions, MADE)


@cache
def compare_study() -> CompareStudy:
    """Return two solvers' answers to the hostile batch, side by side."""
    found = placement_study("leaf-spine-4to1", ("random", "first-fit"))
    documents = tuple(
        {"schema": "scaleplan/place/1", "results": [result_as_dict(found.problem, result)]} for result in found.results
    )
    return CompareStudy(HOSTILE[3], (HOSTILE[2], "after"), documents, MADE)

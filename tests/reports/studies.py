"""Small studies that tests of reports and of the browser make pages of."""

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.problem import Problem
from planner.report import FabricStudy, PlacementStudy, Provenance
from planner.solver import get_solver
from planner.state import Availability, ClusterState
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

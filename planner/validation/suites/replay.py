"""Suite ``replay``: queues of real clusters replayed, against published means of waits and completion times.

``traces/helios_venus_2vc_sep2020.csv`` with ``traces/helios_venus_2vc_nodes.csv`` (SenseTime Helios, SC 2021):
each virtual cluster by itself, all its jobs on its own nodes. ``traces/philly_sep_oct.csv`` (Microsoft Philly, Jeon et
al., ATC 2019), if it is there: the jobs from day 20 on, on one pool of hosts with 8 accelerators. The head of the line
blocks all behind it; jobs are packed best-fit, gangs on whole hosts. Virtual clusters without a published figure are
shown and do not count. ``traces/acme_paper_marginals.csv``, if it is there: published distributions of jobs, from which
traces are drawn and compared with them (Kolmogorov and Smirnov's distance).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.replay.engine import replay
from planner.replay.metrics import Metrics, Summary
from planner.replay.pool import HostPool
from planner.replay.rules import Rules
from planner.replay.scheduler import get_scheduler
from planner.traces.generator import draw_trace, fit_of, marginals_from
from planner.traces.trace import TraceJob
from planner.validation.datadir import DataDir, Row
from planner.validation.record import Case, SuiteOutcome, Target
from planner.validation.suites.lingjun import JOBS, TOPOLOGY, lingjun_cases

__all__ = ["SUITE"]

_VENUS, _VENUS_NODES = "traces/helios_venus_2vc_sep2020.csv", "traces/helios_venus_2vc_nodes.csv"
_PHILLY = "traces/philly_sep_oct.csv"
_MARGINALS = "traces/acme_paper_marginals.csv"
_DRAWN, _DRAWN_ON, _DRAWN_LOAD, _DRAWN_SEED = 20_000, 4_096, 0.9, 1
_TARGET_DISTANCE = 0.03
_PHILLY_FROM_S = 20 * 86_400.0
_PHILLY_HOST = 8
_ORDERS = ("fifo", "sjf")
_TARGET_ERROR_FRAC = 0.02

# Mean completion time, s, of Venus' virtual clusters by order (HeliosArtifact's simulator, SC 2021).
_VENUS_JCT_S = {("vcvGl", "fifo"): 18_497.0, ("vcvGl", "sjf"): 5_303.0}
# Mean wait, s, of Philly's jobs from day 20 on by number of hosts and order.
_PHILLY_WAIT_S = {(80, "fifo"): 24_965.0, (80, "sjf"): 2_745.0, (96, "fifo"): 1_553.0, (96, "sjf"): 604.0}


def _jobs(rows: Sequence[Row]) -> list[TraceJob]:
    """Return the jobs of a table, sorted by submission."""
    jobs = [
        TraceJob(
            row.text("job_id"),
            row.number("submit_s"),
            row.number("duration_s", minimum=0),
            row.integer("gpus", minimum=1),
            tenant=row.text("tenant"),
        )
        for row in rows
    ]
    return sorted(jobs, key=lambda job: job.submit_s)


def _replayed(jobs: Sequence[TraceJob], num_hosts: int, host_size: int, order: str) -> Summary:
    pool = HostPool([host_size] * num_hosts)
    metrics = Metrics(pool)
    replay(pool, jobs, get_scheduler("best-fit"), Rules(order=order), (metrics,))
    return metrics.summary()


def _venus(data: DataDir) -> Iterator[Case]:
    nodes = {row.text("tenant"): row for row in data.rows(_VENUS_NODES, columns=("tenant", "nodes", "gpus_per_node"))}
    jobs = _jobs(data.rows(_VENUS, columns=("job_id", "submit_s", "duration_s", "gpus", "tenant")))
    for tenant, row in nodes.items():
        mine = [job for job in jobs if job.tenant == tenant]
        for order in _ORDERS if mine else ():
            found = _replayed(mine, row.integer("nodes", minimum=1), row.integer("gpus_per_node", minimum=1), order)
            yield _case(f"venus {tenant} {order} mean completion", _VENUS_JCT_S.get((tenant, order)), found.mean_jct_s)


def _philly(data: DataDir) -> Iterator[Case]:
    if data.missing((_PHILLY,)):
        return
    rows = data.rows(_PHILLY, columns=("job_id", "submit_s", "duration_s", "gpus", "tenant"))
    jobs = [job for job in _jobs(rows) if job.submit_s >= _PHILLY_FROM_S]
    for (num_hosts, order), published in _PHILLY_WAIT_S.items():
        found = _replayed(jobs, num_hosts, _PHILLY_HOST, order)
        yield _case(f"philly {num_hosts} hosts {order} mean wait", published, found.mean_wait_s)


def _draws(data: DataDir) -> Iterator[Case]:
    """Draw a trace from each published cluster and measure how far it is from the curves."""
    if data.missing((_MARGINALS,)):
        return
    rows = [row.values for row in data.rows(_MARGINALS, columns=("cluster", "job_type", "metric", "x", "cdf_pct"))]
    for name, marginals in marginals_from(rows, _MARGINALS).items():
        drawn = draw_trace(marginals, _DRAWN, accelerators=_DRAWN_ON, load_frac=_DRAWN_LOAD, seed=_DRAWN_SEED)
        fit = fit_of(drawn, marginals)
        for what in ("gpus", "duration_s", "gpu_time"):
            distance = getattr(fit, what)
            if distance is not None:
                yield Case(f"{name} draws by {what}", "draws", 0.0, distance, "KS distance", error_frac=distance)


def _case(name: str, published: float | None, ours: float) -> Case:
    if published is None:
        return Case(name, "queue", None, ours, "s", counts=False, why_not="no published figure")
    return Case.of_figures(name, "queue", published, ours, "s")


@dataclass(frozen=True, slots=True)
class ReplaySuite:
    """Waits of real queues."""

    name: str = "replay"
    title: str = "queues of Helios and Philly, FIFO and shortest first: mean completion times and waits"
    files: tuple[str, ...] = (_VENUS, _VENUS_NODES)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Replay every queue."""
        cases = [*_venus(data), *_philly(data), *_draws(data), *lingjun_cases(data)]

        def worst(kind: str) -> float | None:
            return max((c.error_frac for c in cases if c.kind == kind and c.error_frac is not None), default=None)

        ranged = [float(c.agrees) for c in cases if c.kind == "range" and c.agrees is not None]
        notes = [f"no {name}: left out" for name in data.missing((_PHILLY, _MARGINALS, TOPOLOGY, JOBS))]
        targets = [
            Target("queues, max_error_frac", worst("queue"), _TARGET_ERROR_FRAC),
            Target("draws, largest KS distance", worst("draws"), _TARGET_DISTANCE),
            Target("lingjun, published figures within our range", min(ranged, default=None), 1.0, ">="),
        ]
        return SuiteOutcome(cases, targets, notes, summary_kinds=frozenset({"queue"}))


SUITE = ReplaySuite()

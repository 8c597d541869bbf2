"""50,000 jobs on 1,024 hosts placed by CP-SAT in batches of five minutes, run times stretched by congestion."""

from __future__ import annotations

import time

from planner.collectives.traffic import Demand
from planner.replay.by_solver import BatchSolver
from planner.replay.engine import replay
from planner.replay.metrics import Metrics
from planner.replay.on_fabric import pool_of
from planner.replay.rules import Rules
from planner.replay.stretch import STEP_BYTES, Congestion
from tests.benchmarks.bench_replay import jobs
from tests.benchmarks.table import Table
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document

_FABRIC = """\
schema_version: 1
kind: rail-optimized
name: 1024-hosts-4to1
hosts: {accelerator: h100-sxm, accelerators: 8, nic: connectx-7-400g, nics: 8, count: 1024, a_rack: 4}
network: {tiers: 2, leaf: sn5600, oversubscription: 4:1, planes: by-rail}
"""
_BATCH_S, _SOLVER_S = 300.0, 1.0


def bench(table: Table) -> None:
    fabric = fabric_of(parse_document(_FABRIC, "fabric.yaml"))
    drawn = jobs(0.85)
    pool = pool_of(fabric)
    metrics, stretch = Metrics(pool), Congestion(fabric)
    scheduler = BatchSolver(fabric, "cp-sat", time_limit_s=_SOLVER_S, traffic=Demand(STEP_BYTES))
    began, cpu = time.perf_counter(), time.process_time()
    replay(pool, drawn, scheduler, Rules(backfill="easy", batch_every_s=_BATCH_S), (metrics,), stretch=stretch)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    told = f"{len(drawn):,} jobs on 1,024 hosts, CP-SAT in batches, congestion scored {stretch.num_scored:,} times"
    table.add(told, took_s, at_most=900.0)
    table.add("of that, processor time", cpu_s)
    table.add("mean wait, the batch's own five minutes counted", metrics.summary().mean_wait_s)

"""Mappings scored and searched, five designs by four workloads weighed cold, and a sweep of 1,000 design points."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from planner.weigh.candidates import all_mappings
from planner.weigh.search import bounds_of, search
from planner.weigh.study_file import named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points
from planner.workloads.machine import machine_of_part
from planner.workloads.memory import memory_use
from planner.workloads.model_catalogue import find_model
from planner.workloads.training import Mappings, TrainingJob
from tests.benchmarks.table import Table
from topologies.parts_catalog import load_parts

_DESIGNS = ["hgx-h100", "hgx-b200", "gb200-nvl72", "gb300-nvl72", "mi355x-8"]
_WORKLOADS = ["llama3-405b", "deepseek-v3", "gpt-moe-1.8t", "llama3-70b"]
# Calculon took more than 300 s for this search on a like machine (issue tracker of this project).
_SEARCH_S, _WEIGH_S, _SWEEP_S = 10.0, 30.0, 600.0


def bench(table: Table) -> None:
    job = TrainingJob(find_model("deepseek-v3"), 4096, 15_360, "fp8")
    machine = machine_of_part(load_parts()["gb200"], 7680)
    every = Mappings.join(list(all_mappings(job, 7680)))
    began = time.process_time()
    fits = memory_use(job, machine, every).fits
    bounds_of(job, machine, every.take(np.flatnonzero(fits)))
    took_s = time.process_time() - began
    table.add(
        f"a million of {len(every):,} mappings scored approximately, processor time",
        took_s / len(every) * 1e6,
        at_most=1.0,
    )

    began = time.perf_counter()
    search(TrainingJob(find_model("gpt-530b"), 2048, 1024), machine_of_part(load_parts()["a100-sxm-80g"], 1024))
    table.add("best mapping of GPT-530B on 1,024 A100", time.perf_counter() - began, at_most=_SEARCH_S)

    argv = ["weigh", "--designs", ",".join(_DESIGNS), "--workloads", ",".join(_WORKLOADS), "--json"]
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("scaleplan"), *argv], check=True, stdout=subprocess.DEVNULL)
    table.add("5 designs × 4 workloads weighed, cold", time.perf_counter() - began, at_most=_WEIGH_S)

    study = named_study(_DESIGNS, _WORKLOADS, [1152])
    sweep = parse_sweep(["nic_gbps=200,400,800,1600,3200", "scale_up_domain=8,16,36,72,144", "oversubscription=1,2"])
    points = points_of(study, sweep)
    began = time.perf_counter()
    run_points(points)
    table.add(f"a sweep of {len(points):,} points", time.perf_counter() - began, at_most=_SWEEP_S)

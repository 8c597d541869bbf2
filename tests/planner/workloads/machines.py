"""Machines and jobs that several tests share."""

from __future__ import annotations

from typing import Any

from planner.workloads.machine import Machine, machine_of_part
from planner.workloads.model_catalogue import find_model
from planner.workloads.training import TrainingJob
from topologies.parts_catalog import load_parts


def machine(part: str = "h100-sxm", count: int = 64, **options: Any) -> Machine:
    return machine_of_part(load_parts()[part], count, **options)


def job(model: str = "llama3-8b", seq: int = 4096, global_batch: int = 128, **options: Any) -> TrainingJob:
    return TrainingJob(find_model(model), seq, global_batch, **options)

"""The calibration of a fabric, stored beside it: what was fitted, from which logs, for which fabric."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from planner.collectives.definitions import Collective
from planner.collectives.efficiency import Efficiency, SizeCorrection
from planner.files.writing import json_text, write_text
from topologies.fabric import Fabric
from topologies.files.loading import load_document
from topologies.files.validated import StrictModel, validate

__all__ = ["calibration_path", "load_calibration", "stored_efficiency", "write_calibration"]

_SUFFIX = ".calibration.json"


class _Correction(StrictModel):
    collective: Collective
    num_units: int = Field(ge=1)
    size_bytes: list[float] = Field(min_length=1)
    factor: list[float] = Field(min_length=1)


class _Figures(StrictModel):
    network_frac: float = Field(gt=0, le=2)
    network_loss_frac: float = Field(ge=0, lt=1)
    scale_up_frac: float = Field(gt=0, le=2)
    in_switch_frac: float | None = Field(gt=0, le=2)
    tree_frac: float = Field(gt=0, le=2)
    ll128_frac: float = Field(gt=0, le=2)
    exchange_frac: float = Field(gt=0, le=2)
    pair_frac: float = Field(gt=0, le=2)
    latency_factor: float = Field(gt=0)
    tree_latency_factor: float = Field(gt=0)
    scale_up_latency_factor: float = Field(gt=0)
    fill_factor: float = Field(ge=0)
    corrections: list[_Correction] = Field(default_factory=list)
    error_frac: float = Field(ge=0)
    small_error_factor: float = Field(ge=1)


class _Calibration(StrictModel):
    schema_: Literal["scaleplan/calibration/1"] = Field(alias="schema")
    fabric: str
    fabric_fingerprint: str
    source: str
    logs: dict[str, str] = Field(default_factory=dict)
    median_error_frac: float = Field(ge=0)
    p90_error_frac: float = Field(ge=0)
    efficiency: _Figures


def calibration_path(fabric_name_or_path: str | os.PathLike[str]) -> Path:
    """Return where the calibration of a fabric lies: beside its file; of a catalogue's fabric in the current folder."""
    path = Path(fabric_name_or_path)
    is_file = path.exists() or bool(path.suffix) or path.parent != Path()
    return path.with_name((path.stem if is_file else path.name) + _SUFFIX)


def write_calibration(
    path: Path,
    fabric: Fabric,
    efficiency: Efficiency,
    *,
    logs: Mapping[str, str],
    median_error_frac: float,
    p90_error_frac: float,
) -> None:
    """Write a calibration, whole or not at all.

    Parameters
    ----------
    logs
        File name to SHA-256 of each log.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    figures = asdict(efficiency)
    source = figures.pop("source")
    content: dict[str, Any] = {
        "schema": "scaleplan/calibration/1",
        "fabric": fabric.name,
        "fabric_fingerprint": fabric.fingerprint,
        "source": source,
        "logs": dict(logs),
        "median_error_frac": median_error_frac,
        "p90_error_frac": p90_error_frac,
        "efficiency": figures,
    }
    write_text(path, json_text(content))


def load_calibration(path: str | os.PathLike[str], fabric: Fabric) -> Efficiency:
    """Return the efficiency that a calibration file holds.

    Raises
    ------
    InputError
        If the file cannot be read, breaks the schema, or was made for another fabric.
    """
    document = load_document(path)
    parsed = validate(_Calibration, document)
    if parsed.fabric_fingerprint != fabric.fingerprint:
        raise document.error(
            ("fabric_fingerprint",),
            what="the calibration was made for another fabric, or the fabric has changed since",
            found=f"{parsed.fabric_fingerprint[:12]}…",
            allowed=f"{fabric.fingerprint[:12]}…, that of {fabric.name}",
            fix="calibrate again, or remove the file",
        )
    figures = parsed.efficiency.model_dump()
    corrections = []
    for i, entry in enumerate(figures.pop("corrections")):
        sizes, factors = entry["size_bytes"], entry["factor"]
        rising = all(a < b for a, b in pairwise(sizes)) and sizes[0] > 0
        if len(sizes) != len(factors) or not rising or min(factors) <= 0:
            raise document.error(
                ("efficiency", "corrections", i),
                what="sizes must rise, with a factor above 0 each",
                found=f"{len(sizes)} sizes, {len(factors)} factors",
            )
        corrections.append(SizeCorrection(entry["collective"], entry["num_units"], tuple(sizes), tuple(factors)))
    return Efficiency(**figures, corrections=tuple(corrections), source=parsed.source)


def stored_efficiency(fabric_name_or_path: str | os.PathLike[str], fabric: Fabric) -> Efficiency | None:
    """Return the efficiency that was calibrated for a fabric; ``None`` if none was.

    Raises
    ------
    InputError
        As `load_calibration`.
    """
    path = calibration_path(fabric_name_or_path)
    return load_calibration(path, fabric) if path.is_file() else None

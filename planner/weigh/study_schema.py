"""What a study file may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topologies.files.validated import StrictModel

__all__ = ["AssumptionsEntry", "DesignEntry", "LimitsEntry", "StudyFile", "WorkloadEntry"]

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_Positive = Annotated[float, Field(gt=0, le=1e15)]
_Count = Annotated[int, Field(ge=1, le=10**7)]
_Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class DesignEntry(StrictModel):
    """A rack design: an accelerator, and what does not follow from its part; or a fabric as it is."""

    accelerator: Annotated[str, Field(min_length=1)] | None = None
    fabric: Annotated[str, Field(min_length=1)] | None = None
    scale_up_domain: _Count | None = None
    scale_up_gb_per_s: _Positive | None = None
    nic_gbps: _Positive | None = None
    leaf_accelerators: _Count | None = None
    oversubscription: Annotated[float, Field(ge=1, le=1000)] = 1.0
    watts_an_accelerator: _Positive | None = None
    accelerators_a_rack: _Count | None = None
    cooling: Literal["air", "liquid"] = "air"
    available: _Month | None = None
    price_low_usd: _Positive | None = None
    price_usd: _Positive | None = None
    price_high_usd: _Positive | None = None
    blast_accelerators: _Count | None = None
    accelerator_mtbf_h: _Positive | None = None


class WorkloadEntry(StrictModel):
    """A training run (`seq`, `global_batch`), or with kind `serve` a service (`prompt_tokens`, `output_tokens`)."""

    model: Annotated[str, Field(min_length=1)]
    seq: Annotated[int, Field(ge=1, le=10**8)] | None = None
    global_batch: Annotated[int, Field(ge=1, le=10**8)] | None = None
    prompt_tokens: Annotated[int, Field(ge=1, le=10**8)] | None = None
    output_tokens: Annotated[int, Field(ge=1, le=10**8)] | None = None
    cached_frac: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ttft_ms: _Positive = 2000.0
    tpot_ms: _Positive = 100.0
    tokens: _Positive
    precision: Literal["bf16", "fp8", "mxfp8", "fp4"] = "bf16"
    framework: str = "nemo"
    kind: Literal["pretrain", "finetune", "lora", "evaluate", "serve"] = "pretrain"


class LimitsEntry(StrictModel):
    """What an architect is held to; a design that breaks one is told, not chosen."""

    rack_kw: _Positive | None = None
    cooling: Literal["air", "liquid"] = "liquid"
    power_kw: _Positive | None = None
    floor_m2: _Positive | None = None
    budget_usd: _Positive | None = None
    racks: _Count | None = None
    available_by: _Month | None = None


class AssumptionsEntry(StrictModel):
    """Prices and rates of failure that no part states."""

    power_usd_per_kwh: _Positive = 0.08
    pue: Annotated[float, Field(ge=1, le=3)] = 1.25
    depreciation_years: _Positive = 5.0
    accelerator_mtbf_h: _Positive = 50_700.0
    price_basis: Literal["capital", "rent"] = "capital"
    host_price_frac: Annotated[float, Field(ge=0, le=10)] = 0.25
    restart_s: _Positive = 600.0
    checkpoint_s: _Positive = 30.0
    repair_h: _Positive = 24.0
    rack_mtbf_h: _Positive = 100_000.0
    rack_repair_h: _Positive = 24.0
    leaf_mtbf_h: _Positive = 300_000.0
    leaf_repair_h: _Positive = 4.0


class StudyFile(StrictModel):
    """A study."""

    schema_version: Literal[1]
    designs: Annotated[dict[_Name, DesignEntry], Field(min_length=1)]
    workloads: Annotated[dict[_Name, WorkloadEntry], Field(min_length=1)]
    sizes: Annotated[list[_Count], Field(min_length=1)] = Field(default_factory=lambda: [1152])
    limits: LimitsEntry = Field(default_factory=LimitsEntry)
    assumptions: AssumptionsEntry = Field(default_factory=AssumptionsEntry)
    supply: Annotated[
        dict[Annotated[str, Field(min_length=1)], dict[_Month, Annotated[int, Field(ge=0, le=10**9)]]],
        Field(description="How many of a part can be had in all by a month; from `limits.available_by` on it binds."),
    ] = Field(default_factory=dict)

"""What a file of models may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topologies.files.validated import StrictModel

__all__ = ["ModelEntry", "ModelsFile"]

_Size = Annotated[int, Field(ge=1, le=10**9)]
_Count = Annotated[int, Field(ge=0, le=10**9)]


class LatentEntry(StrictModel):
    """Latent attention."""

    query_rank: _Size
    kv_rank: _Size
    rope_dim: _Size
    value_dim: _Size


class ModelEntry(StrictModel):
    """One model; what is left out is none, or follows from the others."""

    layers: _Size
    hidden: _Size
    heads: _Size
    kv_heads: _Count = 0
    head_dim: _Count = 0
    vocab: _Size
    ffn: _Count = 0
    gated: bool = True
    experts: _Count = 0
    experts_per_token: _Count = 0
    expert_ffn: _Count = 0
    shared_experts: _Count = 0
    dense_layers: _Count = 0
    tied: bool = False
    latent: LatentEntry | None = None
    source: Annotated[str, Field(min_length=1)]


class ModelsFile(StrictModel):
    """A file of models."""

    schema_version: Literal[1]
    sources: Annotated[dict[str, str], Field(description="Where dimensions come from, by a short key.")] = Field(
        default_factory=dict
    )
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")], ModelEntry]

"""`TrainingJob` and `Mappings`: what is trained, and ways to spread it over accelerators, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from planner.workloads.frameworks import FRAMEWORKS, Framework
from planner.workloads.generations import PRECISIONS
from planner.workloads.transformer import Transformer
from topologies.errors import InputError

__all__ = ["JOB_KINDS", "JobKind", "Mappings", "TrainingJob", "check_mappings"]

_Floats = npt.NDArray[np.float64]
JobKind = Literal["pretrain", "finetune", "lora", "evaluate"]
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training run.

    Attributes
    ----------
    model
        What is trained.
    seq
        Tokens of a sequence.
    global_batch
        Sequences of a step.
    precision
        Of the matrix products in the layers; the output head stays in bf16.
    framework
        Software.
    kind
        ``pretrain`` and ``finetune`` move all weights, ``lora`` only added small ones (no products for weight
        gradients, hardly an optimizer), ``evaluate`` runs forward only.
    tokens
        Tokens of the whole run; 0 where only the step matters.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    model: Transformer
    seq: int
    global_batch: int
    precision: str = "bf16"
    framework: Framework = FRAMEWORKS["nemo"]
    kind: JobKind = "pretrain"
    tokens: float = 0.0

    def __post_init__(self) -> None:
        if self.seq < 1 or self.global_batch < 1:
            raise InputError(
                what="a sequence length and a global batch are 1 or more",
                where=self.model.name,
                found=f"seq {self.seq}, global batch {self.global_batch}",
            )
        if self.precision not in PRECISIONS:
            raise InputError(
                what="no such precision",
                where=self.model.name,
                found=repr(self.precision),
                allowed=", ".join(PRECISIONS),
            )
        if self.kind not in JOB_KINDS:
            raise InputError(what="no such kind of job", found=repr(self.kind), allowed=", ".join(JOB_KINDS))

    @property
    def tokens_a_step(self) -> int:
        """Tokens of a step."""
        return self.seq * self.global_batch


@dataclass(frozen=True, eq=False)
class Mappings:
    """``N`` ways to spread a job; arrays are read-only, each ``(N,)``.

    Attributes
    ----------
    tp, cp, dp, pp
        Ways of tensor, context, data and pipeline parallelism; their product is the number of accelerators.
    ep
        Ways of expert parallelism, out of the ``tp · cp · dp`` ranks of a stage.
    virtual
        Model chunks of a stage (interleaved schedule); 1 is plain 1F1B.
    micro_batch
        Sequences of a micro-batch.
    zero
        What data parallel ranks share out: 0 nothing, 1 optimizer states, 2 gradients too, 3 weights too.
    zero_bubble
        Whether weight gradients fill the pipeline's bubble (Qi et al. 2023, ZB-H1).
    recompute_frac
        Part of the layers whose activations are recomputed; NaN: as few as fit into memory.
    """

    tp: _Floats
    cp: _Floats
    dp: _Floats
    pp: _Floats
    ep: _Floats
    virtual: _Floats
    micro_batch: _Floats
    zero: _Floats
    zero_bubble: _Floats
    recompute_frac: _Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    @classmethod
    def of(cls, **columns: npt.ArrayLike) -> Mappings:
        """Build from columns that broadcast; what is left out is 1, or 0 (`zero_bubble`), or NaN (`recompute_frac`)."""
        default = {"zero_bubble": 0.0, "recompute_frac": np.nan}
        names = [field.name for field in fields(cls)]
        given = [np.asarray(columns.get(name, default.get(name, 1.0)), np.float64) for name in names]
        whole = np.broadcast_arrays(*(np.atleast_1d(column) for column in given))
        return cls(**{name: column.copy() for name, column in zip(names, whole, strict=True)})

    def __len__(self) -> int:
        return len(self.tp)

    @property
    def num_accelerators(self) -> _Floats:
        """Accelerators that each way takes."""
        return self.tp * self.cp * self.dp * self.pp

    def take(self, rows: npt.ArrayLike) -> Mappings:
        """Return some of the ways."""
        index = np.atleast_1d(np.asarray(rows))
        return Mappings(**{field.name: getattr(self, field.name)[index].copy() for field in fields(self)})

    def row(self, index: int) -> dict[str, Any]:
        """Return one way as plain data."""
        names = ("tp", "cp", "dp", "pp", "ep", "virtual", "micro_batch", "zero")
        out: dict[str, Any] = {name: int(getattr(self, name)[index]) for name in names}
        frac = float(self.recompute_frac[index])
        return out | {
            "zero_bubble": bool(self.zero_bubble[index]),
            "recompute_frac": None if np.isnan(frac) else frac,
        }

    @classmethod
    def join(cls, parts: Sequence[Mappings]) -> Mappings:
        """Return the ways of several."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def check_mappings(job: TrainingJob, mappings: Mappings, num_accelerators: int | None = None) -> npt.NDArray[np.bool_]:
    """Return which ways are legal for a job, ``(N,)``: everything that has to divide does."""
    model, m = job.model, mappings
    legal = np.ones(len(m), bool)
    if num_accelerators is not None:
        legal &= m.num_accelerators == num_accelerators
    legal &= (model.heads % m.tp == 0) & ((model.kv_heads % m.tp == 0) | (m.tp % model.kv_heads == 0))
    legal &= (job.global_batch % (m.dp * m.micro_batch) == 0) & (job.seq % (2 * m.cp) == 0) | (
        (job.global_batch % (m.dp * m.micro_batch) == 0) & (m.cp == 1)
    )
    legal &= m.pp * m.virtual <= model.layers
    legal &= (m.virtual == 1) | (m.pp > 1)
    if model.experts:
        legal &= (model.experts % m.ep == 0) & ((m.tp * m.cp * m.dp) % m.ep == 0)
    else:
        legal &= m.ep == 1
    return legal


def why_illegal(job: TrainingJob, mapping: Mapping[str, Any], num_accelerators: int) -> InputError:
    """Return the error that tells why one mapping is not legal."""
    product = mapping["tp"] * mapping["cp"] * mapping["dp"] * mapping["pp"]
    where = f"{job.model.name} on {num_accelerators} accelerators"
    text = ", ".join(f"{key} {mapping[key]}" for key in ("tp", "cp", "dp", "pp", "ep", "virtual", "micro_batch"))
    if product != num_accelerators:
        return InputError(
            what="the product of a mapping is not the number of accelerators",
            where=where,
            found=f"tp × cp × dp × pp = {product}",
            allowed=str(num_accelerators),
        )
    return InputError(
        what="a mapping that does not divide the model or the batch",
        where=where,
        found=text,
        allowed="tp divides heads; dp × micro_batch divides the global batch; 2·cp divides the sequence; "
        "pp × virtual at most the layers; ep divides the experts and tp·cp·dp",
    )

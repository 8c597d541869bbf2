"""Training software as far as it moves the step time: which communication it hides, and what it keeps in memory.

Each entry states features that its documentation or paper states. `hidden` figures are the part of a communication that
runs beside computation where there is enough of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FRAMEWORKS", "Framework"]


@dataclass(frozen=True, slots=True)
class Framework:
    """What a training framework does.

    Attributes
    ----------
    name
        For people.
    tp_hidden_frac, ep_hidden_frac, cp_hidden_frac
        Part of the tensor, expert and context parallel communication that is hidden.
    hides_dp, hides_pp
        Whether gradients, parameters, and what stages hand on, move beside computation.
    attention
        Kernel of attention, a key of `Generation.attention_frac`; ``unfused`` writes the scores to memory, and computes
        them again for the backward pass (Korthikanti et al. 2022, selective recomputation).
    fused
        Whether norms, activations and residual sums are fused kernels, as in Megatron-LM, and not PyTorch's own.
    sequence_parallel
        Whether norms and residuals are split over the tensor parallel ranks (Korthikanti et al. 2022).
    gradient_bytes
        Bytes of a gradient as reduced.
    zero
        What data parallel ranks share out by default: 0 nothing, 1 optimizer, 2 gradients too, 3 weights too.
    source
        Where that is said.
    """

    name: str
    tp_hidden_frac: float = 0.0
    ep_hidden_frac: float = 0.0
    cp_hidden_frac: float = 0.8
    hides_dp: bool = True
    hides_pp: bool = False
    attention: str = "native"
    fused: bool = True
    sequence_parallel: bool = True
    gradient_bytes: float = 4.0
    zero: int = 1
    source: str = ""

    @property
    def fused_attention(self) -> bool:
        """Whether scores never reach memory."""
        return self.attention != "unfused"


FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        f.name: f
        for f in (
            Framework(
                "megatron-2021",
                hides_dp=False,
                attention="unfused",
                sequence_parallel=False,
                gradient_bytes=2.0,
                zero=0,
                source="Narayanan et al. 2021, arXiv:2104.04473",
            ),
            Framework(
                "megatron-2022",
                hides_dp=False,
                attention="unfused",
                zero=0,
                source="Korthikanti et al. 2022, arXiv:2205.05198",
            ),
            Framework(
                "megatron-core",
                tp_hidden_frac=0.25,
                hides_pp=True,
                source="Megatron-Core README: tensor parallel, pipeline and data parallel overlap; hidden part fitted",
            ),
            Framework(
                "nemo",
                tp_hidden_frac=0.75,
                hides_pp=True,
                gradient_bytes=2.0,
                source="NeMo user guide, communication overlap; hidden part fitted",
            ),
            Framework(
                "fsdp",
                attention="flash-1",
                fused=False,
                gradient_bytes=2.0,
                zero=3,
                source="Zhao et al. 2023, arXiv:2304.11277",
            ),
            Framework(
                "torchtitan", attention="flash-2", fused=False, zero=3, source="Liang et al. 2024, arXiv:2410.06511"
            ),
            Framework(
                "dualpipe",
                tp_hidden_frac=0.5,
                ep_hidden_frac=0.9,
                hides_pp=True,
                gradient_bytes=2.0,
                source="DeepSeek-AI 2024, arXiv:2412.19437, section 3.2",
            ),
        )
    }
)

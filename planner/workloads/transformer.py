"""`Transformer`: the published dimensions of a model, and the parameters and operations that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from topologies.errors import InputError

__all__ = ["LatentAttention", "Transformer"]

# A multiplication and an addition.
_OPS = 2


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Dimensions of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    Attributes
    ----------
    query_rank, kv_rank
        Widths of the compressed queries and of the compressed keys and values.
    rope_dim
        Width of the part of a key that carries the position; shared by all heads.
    value_dim
        Width of a head's value; a head's query and key have `Transformer.head_dim` + `rope_dim`.
    """

    query_rank: int
    kv_rank: int
    rope_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class Transformer:
    """A decoder-only transformer, dense or with experts.

    Attributes
    ----------
    name
        For people.
    layers, hidden, heads, kv_heads, head_dim, vocab
        Sizes. `kv_heads` below `heads` is grouped-query attention.
    ffn
        Width of the dense feed-forward block; 0 if every layer has experts.
    gated
        Whether feed-forward blocks have three matrices (SwiGLU) and not two.
    experts, experts_per_token, expert_ffn, shared_experts, dense_layers
        Experts of a layer; how many a token takes; their width; how many every token takes beside; first layers
        without experts. No experts: a dense model.
    tied
        Whether the input and the output embedding are one matrix.
    latent
        Dimensions of latent attention, if that is what the model has.
    source
        Where the dimensions were published.

    Raises
    ------
    InputError
        If the dimensions contradict each other.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    ffn: int = 0
    gated: bool = True
    experts: int = 0
    experts_per_token: int = 0
    expert_ffn: int = 0
    shared_experts: int = 0
    dense_layers: int = 0
    tied: bool = False
    latent: LatentAttention | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab"):
            if getattr(self, name) < 1:
                raise self._error(key=name, found=getattr(self, name), allowed="1 or more")
        if self.heads % self.kv_heads:
            raise self._error(key="kv_heads", found=self.kv_heads, allowed=f"a divisor of heads, {self.heads}")
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise self._error(key="experts_per_token", found=self.experts_per_token, allowed=f"1 to {self.experts}")
        if self.experts and self.expert_ffn < 1:
            raise self._error(key="expert_ffn", found=self.expert_ffn, allowed="1 or more, as there are experts")
        if self.experts and not 0 <= self.dense_layers <= self.layers:
            raise self._error(key="dense_layers", found=self.dense_layers, allowed=f"0 to {self.layers}")
        if (not self.experts or self.dense_layers) and self.ffn < 1:
            raise self._error(key="ffn", found=self.ffn, allowed="1 or more, as there are dense layers")

    def _error(self, *, key: str, found: object, allowed: str) -> InputError:
        return InputError(what=f"bad {key} of a model", where=self.name, found=found, allowed=allowed)

    # ---- layers ------------------------------------------------------------------------------------------------

    @property
    def num_moe_layers(self) -> int:
        """Layers with experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def num_dense_layers(self) -> int:
        """Layers without experts."""
        return self.layers - self.num_moe_layers

    @property
    def ffn_matrices(self) -> int:
        """Matrices of a feed-forward block."""
        return 3 if self.gated else 2

    # ---- parameters --------------------------------------------------------------------------------------------

    @property
    def attention_params(self) -> int:
        """Parameters of one layer's attention."""
        if self.latent is None:
            return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        latent, head = self.latent, self.head_dim
        queries = self.hidden * latent.query_rank + latent.query_rank * self.heads * (head + latent.rope_dim)
        keys = self.hidden * (latent.kv_rank + latent.rope_dim) + latent.kv_rank * self.heads * (
            head + latent.value_dim
        )
        return queries + keys + self.heads * latent.value_dim * self.hidden

    @property
    def dense_ffn_params(self) -> int:
        """Parameters of one dense feed-forward block."""
        return self.ffn_matrices * self.hidden * self.ffn

    @property
    def expert_params(self) -> int:
        """Parameters of one expert."""
        return self.ffn_matrices * self.hidden * self.expert_ffn

    @property
    def shared_params_a_layer(self) -> int:
        """Parameters of one layer with experts that every token passes: attention, router, shared experts."""
        return self.attention_params + self.hidden * self.experts + self.shared_experts * self.expert_params

    @property
    def embedding_params(self) -> int:
        """Parameters of the embeddings."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def routed_params(self) -> int:
        """Parameters of all experts that tokens are routed to."""
        return self.num_moe_layers * self.experts * self.expert_params

    @property
    def params(self) -> int:
        """All parameters but those of norms and biases."""
        dense = self.num_dense_layers * (self.attention_params + self.dense_ffn_params)
        return dense + self.num_moe_layers * self.shared_params_a_layer + self.routed_params + self.embedding_params

    @property
    def active_params(self) -> int:
        """Parameters that one token passes, embeddings as in `params`."""
        idle = self.num_moe_layers * (self.experts - self.experts_per_token) * self.expert_params
        return self.params - idle

    # ---- operations --------------------------------------------------------------------------------------------

    @property
    def score_width(self) -> int:
        """Multiplications a token and attended token in one layer: queries with keys, scores with values."""
        if self.latent is None:
            return 2 * self.heads * self.head_dim
        return self.heads * (self.head_dim + self.latent.rope_dim + self.latent.value_dim)

    @property
    def kv_values_a_token(self) -> int:
        """Numbers that one token keeps in the cache of one layer."""
        if self.latent is None:
            return 2 * self.kv_heads * self.head_dim
        return self.latent.kv_rank + self.latent.rope_dim

    def linear_flops_a_token(self) -> float:
        """Operations of all matrix products of one token, forward, output head included."""
        return float(_OPS * (self.active_params - self.embedding_params + self.vocab * self.hidden))

    def attention_flops_a_token(self, seq: int, *, causal: bool = True) -> float:
        """Operations of attention scores of one token, forward, on average over a sequence."""
        attended = seq / 2 if causal else seq
        return float(_OPS * self.layers * self.score_width * attended)

    def training_flops_a_token(self, seq: int, *, causal: bool = True) -> float:
        """Operations of one token, forward and backward, without recomputation: three times forward.

        Source: Kaplan et al. 2020 (6 operations a parameter), with attention as in Narayanan et al. 2021 (SC21), halved
        if causal.
        """
        return 3.0 * (self.linear_flops_a_token() + self.attention_flops_a_token(seq, causal=causal))

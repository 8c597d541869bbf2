"""Parameters and operations that follow from published dimensions."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.workloads.model_catalogue import find_model, load_models
from planner.workloads.transformer import Transformer
from topologies.errors import InputError

# Totals as their authors state them, in 10⁹: (all, active).
_PUBLISHED = {
    "gpt3-175b": (175, 175),
    "gpt-530b": (530, 530),
    "megatron-1t": (1008, 1008),
    "llama2-7b": (6.74, 6.74),
    "llama2-70b": (69, 69),
    "llama3-8b": (8.03, 8.03),
    "llama3-70b": (70.6, 70.6),
    "llama3-405b": (405, 405),
    "mixtral-8x7b": (46.7, 12.9),
    "mixtral-8x22b": (140.6, 39.1),
    "deepseek-v3": (671, 37),
    "kimi-k2": (1026, 32),
    "qwen3-30b-a3b": (30.5, 3.3),
    "qwen3-235b-a22b": (235, 22),
    "gpt-oss-120b": (117, 5.7),
}


@pytest.mark.parametrize("name", _PUBLISHED)
def test_parameters_are_those_published(name: str) -> None:
    model = find_model(name)
    total, active = _PUBLISHED[name]
    assert model.params / 1e9 == pytest.approx(total, rel=0.01)
    assert model.active_params / 1e9 == pytest.approx(active, rel=0.03)


def test_every_model_tells_its_source() -> None:
    assert all(model.source for model in load_models().values())


def test_training_operations_by_hand() -> None:
    # One layer: attention 4·8·8 = 256, feed-forward 2·8·32 = 512 parameters; head 10·8 = 80. Forward 2 · 848 = 1,696
    # operations, attention of 4 causal tokens 2 · 2·8 · 2 = 64; three times that.
    model = Transformer("tiny", 1, 8, 2, 2, 4, vocab=10, ffn=32, gated=False)
    assert model.params == 256 + 512 + 2 * 80
    assert model.training_flops_a_token(4) == 3 * (1696 + 64)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean llama3-405b"):
        find_model("lama3-405b")


def test_a_file_of_ones_own_adds_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        "schema_version: 1\nmodels:\n  mine: {layers: 2, hidden: 64, heads: 4, vocab: 100, ffn: 256, source: me}\n"
    )
    models = load_models(path)
    assert models["mine"].head_dim == 16
    assert models["llama3-8b"] == find_model("llama3-8b")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("layers: 0, hidden: 64, heads: 4, vocab: 9, ffn: 2", "layers"),
        ("layers: 2, hidden: 64, heads: 4, kv_heads: 3, vocab: 9, ffn: 2", "kv_heads"),
        ("layers: 2, hidden: 64, heads: 4, vocab: 9", "ffn"),
        ("layers: 2, hidden: 64, heads: 4, vocab: 9, ffn: 2, layer: 3", "layer"),
        ("layers: 2, hidden: 64, heads: 4, vocab: 9, experts: 4, experts_per_token: 5, expert_ffn: 3", "experts_per"),
    ],
)
def test_a_bad_model_is_one_clear_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(f"schema_version: 1\nmodels:\n  mine: {{{text}, source: me}}\n")
    with pytest.raises(InputError, match=match) as caught:
        load_models(path)
    assert f"{path}:3" in str(caught.value)
    assert "\n" not in str(caught.value)

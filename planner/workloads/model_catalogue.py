"""The models that can be asked for by name: the catalogue, and a file of the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from planner.workloads.transformer import LatentAttention, Transformer
from topologies.errors import InputError
from topologies.files.reading import nearest

__all__ = ["find_model", "load_models", "models_file"]


def models_file() -> Path:
    """Return the catalogue's own file."""
    return Path(str(resources.files("planner"))) / "workloads" / "models.yaml"


def load_models(extra: str | os.PathLike[str] | None = None) -> Mapping[str, Transformer]:
    """Return all models by name.

    Parameters
    ----------
    extra
        A file of the user's own; a model in it replaces one of the catalogue with the same name.

    Raises
    ------
    InputError
        If the file is no model file.
    """
    return _catalogue() if extra is None else MappingProxyType({**_catalogue(), **_read(extra)})


def find_model(name: str, models: Mapping[str, Transformer] | None = None) -> Transformer:
    """Return a model by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = _catalogue() if models is None else models
    if name not in known:
        match = nearest(name, list(known))
        raise InputError(
            what="no such model",
            found=repr(name),
            allowed=", ".join(known),
            fix=f"did you mean {match}?" if match else "give its dimensions in a file with --models",
        )
    return known[name]


@cache
def _catalogue() -> Mapping[str, Transformer]:
    return MappingProxyType(_read(models_file()))


def _read(path: str | os.PathLike[str]) -> dict[str, Transformer]:
    from planner.workloads.model_schema import ModelsFile
    from topologies.files.loading import load_document
    from topologies.files.validated import validate

    document = load_document(path)
    file = validate(ModelsFile, document)
    models = {}
    for name, entry in file.models.items():
        values = entry.model_dump(exclude={"latent", "source"})
        values["kv_heads"] = values["kv_heads"] or entry.heads
        values["head_dim"] = values["head_dim"] or entry.hidden // entry.heads
        latent = LatentAttention(**entry.latent.model_dump()) if entry.latent else None
        try:
            models[name] = Transformer(
                name=name, latent=latent, source=file.sources.get(entry.source, entry.source), **values
            )
        except InputError as error:
            raise InputError(
                what=error.what,
                where=document.where(("models", name)),
                found=error.found,
                allowed=error.allowed,
                fix=error.fix,
            ) from error
    return models

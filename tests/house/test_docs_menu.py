"""The menu of the docs: ordered where it is ordered, complete always."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def docs_menu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_menu", ROOT / "scripts" / "docs_menu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_orders_what_is_named_and_keeps_the_rest(docs_menu: ModuleType) -> None:
    pages = ["a.md", "b.md", "index.md", "kinds/x.md", "kinds/y.md", "other/z.md"]
    order = ["index.md", "not-yet.md", {"Kinds": "kinds/"}, {"Nothing": "nothing/"}, "b.md"]
    assert docs_menu.menu(pages, order) == [
        "index.md",
        {"Kinds": ["kinds/x.md", "kinds/y.md"]},
        "b.md",
        "a.md",
        "other/z.md",
    ]

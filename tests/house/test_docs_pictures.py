"""The hook that draws the pictures of the pages about kinds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def hook() -> object:
    spec = importlib.util.spec_from_file_location("docs_pictures", ROOT / "scripts" / "docs_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_about_a_kind_shows_the_picture_of_its_file() -> None:
    pages = sorted((ROOT / "docs" / "kinds").glob("*.md"))
    assert len(pages) >= 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        files = hook().fabric_files(text)  # type: ignore[attr-defined]
        assert list(files) == [page.stem]
        assert f"]({page.stem}.svg)" in text
        assert f"$ scaleplan fabric draw {page.stem}.yaml -o out/{page.stem}.svg" in text


def test_the_picture_is_what_the_command_draws(tmp_path: Path) -> None:
    from planner.cli.main import run

    text = (
        "schema_version: 1\nkind: torus\nname: t\n"
        "grid: {shape: [3, 3], host_shape: [3, 1]}\nhosts: {accelerator: tpu-v5e}\n"
    )
    (tmp_path / "t.yaml").write_text(text)
    assert run(["fabric", "draw", str(tmp_path / "t.yaml"), "-o", str(tmp_path / "t.svg")]) == 0
    assert (tmp_path / "t.svg").read_text() == hook().picture(text, "t.md")  # type: ignore[attr-defined]

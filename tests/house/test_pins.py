"""An install today and in a year is the same: every dependency is pinned, by name and version and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")
]
PYTHONS = [f"3.{minor}.0" for minor in (11, 12, 13, 14)]


def requirements() -> list[Requirement]:
    lists = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"].get("optional-dependencies", {}).values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return [Requirement(item) for items in lists for item in items if isinstance(item, str)]


def pins(python: str) -> dict[str, Version]:
    """The versions that constraints.txt names for one Python, by canonical name."""
    found = {}
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    for line in LINES:
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            found[canonicalize_name(pin.name)] = Version(str(pin.specifier).removeprefix("=="))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_to_a_version_it_allows(python: str) -> None:
    found = pins(python)
    wrong = [
        str(requirement)
        for requirement in requirements()
        if (pin := found.get(canonicalize_name(requirement.name))) is None or not requirement.specifier.contains(pin)
    ]
    assert not wrong, f"constraints.txt does not serve {wrong} on Python {python}; run: make constraints"


@pytest.mark.parametrize("line", LINES)
def test_a_pin_is_a_name_and_a_version(line: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9a-z.+!-]*( ; [a-z_]+ [<>=!]+ '[A-Za-z0-9.]+')*", line)

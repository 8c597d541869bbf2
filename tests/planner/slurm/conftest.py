"""Recorded outputs of real Slurms, for the readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

_DATA = Path(__file__).parent / "data"


@pytest.fixture
def data_text() -> Callable[[str], str]:
    """Return a reader of the recorded outputs."""
    return lambda name: (_DATA / name).read_text()

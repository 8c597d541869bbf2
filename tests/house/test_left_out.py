"""What cannot run here is left out aloud: pytest itself is run on a small tree of tests with the shared conftest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tests/ folder with the real conftest and fixtures, and suites of its own."""
    tests = tmp_path / "tests"
    shutil.copytree(ROOT / "tests" / "fixtures", tests / "fixtures")
    for name in ("__init__.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, tests / name)
    files = {
        "plain/test_plain.py": "def test_a(): pass\n",
        "whole/needs.toml": 'why = "a broom"\ncommands = ["no-such-broom"]\napt = ["broom"]\n',
        "whole/test_whole.py": "import no_such_module\n",
        "marked/needs.toml": 'why = "a mop"\nmarker = "slurm"\ncommands = ["no-such-mop"]\n',
        "marked/test_marked.py": "import pytest\n\ndef test_a(): pass\n\n@pytest.mark.slurm\ndef test_b(): assert 0\n",
        "met/needs.toml": 'commands = ["sh"]\nserial = true\n',
        "met/test_met.py": "import pytest\n\ndef test_a(): pytest.skip('no moon')\n\ndef test_b(): pass\n",
    }
    for name, text in files.items():
        path = tests / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def pytest_on(tree: Path, *args: str) -> list[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    printed = subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=False).stdout
    return [line for line in printed.splitlines() if line]


@pytest.mark.parametrize("args", [(), ("-n", "2", "--dist", "loadgroup")])
def test_says_what_was_left_out_and_why(tree: Path, args: tuple[str, ...]) -> None:
    lines = pytest_on(tree, *args)
    said = lines[next(number for number, line in enumerate(lines) if " left out " in line) + 1 : -1]
    assert sorted(said) == [
        "1 test: needs no-such-mop (a mop)",
        "1 test: no moon",
        "the suite tests/whole: needs no-such-broom (a broom); as root: apt-get install broom",
    ]
    assert "3 passed, 2 skipped" in lines[-1]


def test_says_so_when_nothing_was_left_out(tree: Path) -> None:
    assert pytest_on(tree, "tests/plain")[-2:-1] == ["nothing"]

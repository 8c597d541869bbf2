"""Every command and every snippet in README and docs/ runs, and prints what the page says it prints."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.fences import LANGUAGES, Command, Fence, find_fences, first_not_printed, shows

ROOT = Path(__file__).resolve().parents[2]
TITLE = re.compile(r'title="([\w.-]+)"')
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if find_fences(path)]
MADE = {"out", "site", ".venv", ".git", "build", "dist"}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the checkout, where what commands write does not stay."""
    for entry in ROOT.iterdir():
        if entry.name not in MADE and not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_runs(page: Path, checkout: Path) -> None:
    for fence in find_fences(page, (*LANGUAGES, "yaml")):
        if fence.language == "yaml":
            # A file that is titled is there for the commands below it.
            if title := TITLE.search(fence.info):
                (checkout / title[1]).write_text(fence.text + "\n", encoding="utf-8")
        elif not fence.not_run:
            commands = fence.commands()
            for command in commands:
                exit_code = fence.exit_code if command is commands[-1] else 0
                run(fence, command, exit_code, checkout)


def run(fence: Fence, command: Command, exit_code: int, folder: Path) -> None:
    if command.text.startswith("make"):
        # Each make target is a suite, a build or an installation of its own: here only its name is checked.
        unknown = [word for word in shlex.split(command.text)[1:] if "=" not in word and word not in TARGETS]
        assert not unknown, f"{fence.place}: the Makefile has no target {', '.join(unknown)}"
        return
    argv = [sys.executable, "-"] if fence.language == "python" else ["bash", "-e"]
    ended = subprocess.run(
        argv,
        input=command.text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "TERM": "dumb",
        },
        check=False,
    )
    shown = f"{fence.place}\n{command.text}\n--- printed, exit {ended.returncode}\n{ended.stdout}"
    if ended.returncode != exit_code:
        pytest.fail(f"exit code {ended.returncode}, the page says {exit_code}: {shown}", pytrace=False)
    if command.expected is not None and not shows(command.expected, ended.stdout):
        line = first_not_printed(command.expected, ended.stdout)
        pytest.fail(f"the page shows another output, first at the line {line!r}: {shown}", pytrace=False)

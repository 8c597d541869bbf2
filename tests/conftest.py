"""What every suite shares. See tests/fixtures/ for the parts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

from tests.fixtures.command_line import CommandLine
from tests.fixtures.golden_text import UPDATE_FLAG, GoldenText
from tests.fixtures.suites import Suite, find_suites

TESTS = Path(__file__).parent

# The same examples in every run, so that a failure seen once is seen again; `--hypothesis-profile=explore` looks
# further. No deadline: a slow machine is not a fault of the code.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(UPDATE_FLAG, action="store_true", help="write the golden files instead of comparing with them")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """Run `scaleplan` as a person does: ``cli("fabric", "list").done().stdout``."""
    return CommandLine(cwd=tmp_path)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenText:
    """Compare a whole text with a golden file: ``golden("place/table.txt", text)``."""
    return GoldenText(TESTS / "golden", update=request.config.getoption(UPDATE_FLAG))


# Suites that need more than Python ------------------------------------------------------------------------------------

_SUITES = {suite.folder: suite for suite in find_suites()}
_OBSTACLES = {folder: why for folder, suite in _SUITES.items() if (why := suite.obstacle())}


def _suite_of(path: Path) -> Suite | None:
    return next((suite for folder, suite in _SUITES.items() if path.is_relative_to(folder)), None)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave a whole suite out, unread, when its needs are not met."""
    suite = _suite_of(collection_path)
    return True if suite and not suite.marker and suite.folder in _OBSTACLES else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out marked tests whose needs are not met; keep the tests of a serial suite in one worker."""
    for item in items:
        suite = _suite_of(item.path)
        if suite is None or (suite.marker and item.get_closest_marker(suite.marker) is None):
            continue
        if obstacle := _OBSTACLES.get(suite.folder):
            item.add_marker(pytest.mark.skip(reason=obstacle))
        if suite.serial:
            item.add_marker(pytest.mark.xdist_group(suite.name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say plainly what was left out and why."""
    asked_for = [Path(os.path.abspath(arg.split("::")[0])) for arg in config.args]  # noqa: PTH100
    lines = [
        f"the suite {_SUITES[folder].name}: {why}"
        for folder, why in _OBSTACLES.items()
        if not _SUITES[folder].marker
        and any(folder.is_relative_to(path) or path.is_relative_to(folder) for path in asked_for)
    ]
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    lines += [f"{count} test{'s' * (count > 1)}: {reason}" for reason, count in reasons.items()]
    if deselected := len(terminalreporter.stats.get("deselected", [])):
        lines.append(f"{deselected} tests: deselected on the command line")
    terminalreporter.section("left out")
    for line in lines or ["nothing"]:
        terminalreporter.write_line(line)

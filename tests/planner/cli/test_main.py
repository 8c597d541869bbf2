"""The command line's frame: help, version, misuse, exit codes."""

import json
from pathlib import Path

import pytest

from planner.cli.main import run as run_here
from tests.fixtures.command_line import CommandLine


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_help_and_version(run: CommandLine) -> None:
    assert "place" in run("--help").done().stdout
    assert run("--version").done().stdout.startswith("scaleplan ")


def test_no_command_shows_help_and_is_misuse(run: CommandLine) -> None:
    ended = run().exits(2)
    assert "Usage: scaleplan" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["place"], "Missing"),
        (["place", "x", "--jobs", "y", "--seed", "-1"], "--seed"),
        (["schema", "nope"], "no such kind of file; found: 'nope'; allowed: fabric, jobs, state, placement, parts"),
        (["fabric", "show", "dgx-h100-superpod-9su"], "neither a file nor a fabric of the catalogue"),
        (["collective", "dgx-h100-superpod-1su", "--gpus", "1"], "--gpus: a collective needs at least two ranks"),
        (["collective", "dgx-h100-superpod-1su", "--sizes", "0"], "--sizes: size out of range; found: '0'"),
        (["collective", "dgx-h100-superpod-1su", "--op", "all"], "'all'"),
        (["collective", "dgx-h100-superpod-1su", "--algorithm", "magic"], "--algorithm: no such algorithm"),
    ],
)
def test_misuse_is_one_line(run: CommandLine, argv: list[str], line: str) -> None:
    assert line in run(*argv).refuses()


def test_every_schema_is_a_schema(run: CommandLine) -> None:
    for file in ("fabric", "jobs", "state", "placement", "parts"):
        schema = run("schema", file).json()
        assert schema["$schema"].startswith("https://json-schema.org/")


def test_a_defect_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        message = "two\nlines"
        raise ZeroDivisionError(message)

    monkeypatch.delenv("SCALEPLAN_DEBUG", raising=False)
    monkeypatch.setattr("topologies.files.fabric_file.list_catalog", broken)
    assert run_here(["fabric", "list"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("scaleplan: a defect of scaleplan: ZeroDivisionError: two lines")
    assert line.count("\n") == 1


def test_doctor_finds_nothing_wrong(run: CommandLine) -> None:
    checks = run("doctor", "--json").json()["checks"]
    assert [row["check"] for row in checks if not row["good"]] == []
    assert {"Python", "catalogue", "CP-SAT"} <= {row["check"] for row in checks}


def test_fabric_list_show_validate(run: CommandLine) -> None:
    names = [f["name"] for f in run("fabric", "list", "--json").json()["fabrics"]]
    assert "dgx-h100-superpod-4su" in names
    shown = run("fabric", "show", "dgx-h100-superpod-4su", "--json").json()
    assert shown["counts"]["accelerators"] == 127 * 8  # 128 nodes less the one that manages the fabric
    assert shown["counts"]["leaf switches"] == 32
    assert shown["counts"]["spine switches"] == 16
    assert "good, 1,016 accelerators" in run("fabric", "validate", "dgx-h100-superpod-4su").done().stdout


def test_sizes_double_from_first_to_last(run: CommandLine) -> None:
    ended = run("collective", "dgx-h100-superpod-1su", "--gpus", "8", "--sizes", "1KiB:5KiB", "--json").done()
    assert [row["size_bytes"] for row in json.loads(ended.stdout)["rows"]] == [1024, 2048, 4096]

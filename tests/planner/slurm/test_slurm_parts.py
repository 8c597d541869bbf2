"""Journal, control socket, intent, updates, settings, commands: the small parts."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.slurm.commands import CommandError, SlurmTools
from planner.slurm.control import ControlServer, ask_daemon
from planner.slurm.heartbeat import write_heartbeat, write_whole
from planner.slurm.hostfile import host_file_lines
from planner.slurm.intent import Intent, parse_intent
from planner.slurm.journal import Decision, Journal, TrackedJob
from planner.slurm.settings import load_settings
from planner.slurm.updates import merge_mark, update_line
from planner.slurm.words import job_story
from topologies.errors import InputError, OutputError


def job(ref: str = "7", state: str = "pinned", **values: object) -> TrackedJob:
    return TrackedJob(ref, 100, 7, state, **values)  # type: ignore[arg-type]


def test_the_journal_reads_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    written = job(hosts=("b", "a"), tries=2, since_s=1.5)
    with Journal(path) as journal:
        journal.write([written, job("8", "done")], [Decision(2.0, "7", 100, "pin", ("b", "a"), "why", {"leaves": 1})])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Journal(path) as journal:
        assert journal.live_jobs() == {"7": written}
        assert journal.decisions("7") == [Decision(2.0, "7", 100, "pin", ("b", "a"), "why", {"leaves": 1})]
        assert journal.counts() == {"pinned": 1, "done": 1}
        journal.write([job(state="released")])
        assert journal.live_jobs()["7"].state == "released"  # watched to its end
        journal.forget_before(1e12)
        assert journal.jobs() == []


def test_the_journal_writes_all_or_nothing_and_says_when_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with Journal(path) as journal:
        bad = Decision(1.0, "7", 100, "pin", (), "x", {"y": 1})
        object.__setattr__(bad, "at_s", None)  # NOT NULL
        with pytest.raises(OutputError, match="cannot write the journal"):
            journal.write([job()], [bad])
        assert journal.live_jobs() == {}
        assert journal.probe()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        journal._db.execute("PRAGMA busy_timeout = 10")
        assert not journal.probe()
        other.execute("ROLLBACK")
        other.close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "x.sqlite3"
    broken.write_bytes(b"not a database at all" * 100)
    with pytest.raises(OutputError, match="cannot read the journal"):
        Journal(broken)
    with pytest.raises(OutputError, match="cannot open the journal"):
        Journal(tmp_path / "none.sqlite3", read_only=True)
    newer = tmp_path / "n.sqlite3"
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OutputError, match="newer version"):
        Journal(newer)


def test_a_story_in_words() -> None:
    story = job_story("7", job(tries=1), [Decision(0.0, "7", 100, "pin", ("n1", "n2"), "2 hosts on 1 leaf")])
    assert story[0].endswith("was given n[1-2]: 2 hosts on 1 leaf")
    assert story[1] == "now: pinned, waiting for Slurm to start it, 1 plans in vain"
    assert "never parked" in job_story("9", None, [])[0]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("", Intent()),
        ("nothing of ours", Intent()),
        ("scaleplan: model=llama3-70b tp=8 pp=2", Intent(model="llama3-70b", tp=8, pp=2)),
        ("my run; scaleplan: pattern=all-to-all, ep=64", Intent(pattern="all-to-all", ep=64)),
        ("scaleplan: off", Intent(off=True)),
        ("scaleplan: tp=0 tp=x max_leaves=2", Intent(max_leaves=2, unread=("tp=0", "tp=x"))),
        ("scaleplan: $(reboot)", Intent(unread=("$(reboot)",))),
    ],
)
def test_intent(comment: str, expected: Intent) -> None:
    assert parse_intent(comment) == expected


@given(st.text(max_size=300))
def test_no_comment_breaks_the_intent(text: str) -> None:
    parse_intent("scaleplan: " + text, defaults={"tp": 8, "model": None})


def test_update_lines() -> None:
    line = update_line("12_3", hosts=["n2", "n1"], mark="scaleplan:pinned", start_in_s=0)
    assert line == "update JobId=12_3 ReqNodeList=n[1-2] AdminComment=scaleplan:pinned StartTime=now"
    assert update_line("7", hosts=[], start_in_s=60) == "update JobId=7 ReqNodeList= StartTime=now+60"
    assert update_line("7_[1-3,5]", start_in_s=5) == "update JobId=7_[1-3,5] StartTime=now+5"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_makes_a_second_command(ref: str, mark: str) -> None:
    try:
        line = update_line(ref, hosts=["n1"], mark=mark)
    except InputError:
        return
    assert "\n" not in line
    assert len(line.split(" ")) == 4


@pytest.mark.parametrize(
    ("comment", "merged"),
    [
        ("", "scaleplan:pinned"),
        ("scaleplan:parked", "scaleplan:pinned"),
        ("site|scaleplan:parked", "site|scaleplan:pinned"),
        ("two words", None),
        ('a"b', None),
        ("x" * 2000, None),
    ],
)
def test_the_sites_own_admin_comment_is_kept(comment: str, merged: str | None) -> None:
    assert merge_mark(comment, "scaleplan:pinned") == merged


def test_settings_are_strict(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("mode: pin\npark_s: 30\ndefaults: {batch: {tp: 8, pattern: ring}}\n")
    assert load_settings(path).park_s == 30
    for text, said in (
        ("mode: pinned\n", "mode"),
        ("park_s: 1\n", "park_s"),
        ("parks: 20\n", "park_s"),
        ("run_dir: relative\n", "run_dir"),
        ("park_s: yes\n", "park_s"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said) as caught:
            load_settings(path)
        assert f"{path}:1" in str(caught.value)


def tool(folder: Path, body: str) -> SlurmTools:
    (folder / "scontrol").write_text(f"#!/bin/bash\n{body}\n")
    (folder / "scontrol").chmod(0o755)
    return SlurmTools(bin_dir=folder, timeout_s=5, max_output_bytes=100_000)


def test_commands_are_bounded_in_time_and_size(tmp_path: Path) -> None:
    assert tool(tmp_path, 'cat; echo "$SLURM_TIME_FORMAT"').run(["scontrol"], stdin_text="a\n").stdout == "a\n%s\n"
    with pytest.raises(CommandError, match="wrote more than"):
        tool(tmp_path, "exec yes").run(["scontrol"])
    with pytest.raises(CommandError, match="failed"):
        tool(tmp_path, "echo no >&2; exit 3").run(["scontrol", "x"])
    assert tool(tmp_path, "exit 3").run(["scontrol"], check=False).returncode == 3
    quick = SlurmTools(bin_dir=tmp_path, timeout_s=0.2)
    tool(tmp_path, "exec sleep 100")
    with pytest.raises(CommandError, match="no answer"):
        quick.run(["scontrol"])
    with pytest.raises(CommandError, match="not found"):
        quick.run(["squeue"])


def test_secrets_of_the_environment_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JWT", "secret")
    assert "secret" not in tool(tmp_path, "env").run(["scontrol"]).stdout


def test_the_control_socket(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "c.sock", lambda command: {"said": command})
    try:
        assert ask_daemon(tmp_path / "c.sock", "status") == {"said": "status"}
        assert stat.S_IMODE((tmp_path / "c.sock").stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(tmp_path / "c.sock"))
            client.sendall(b"x" * 20_000)
            assert client.recv(10) == b""  # too much without an end of line: closed
    except ConnectionError:
        pass  # closed while still sending: as good
    finally:
        server.close()
    with pytest.raises(OutputError, match="does not answer"):
        ask_daemon(tmp_path / "c.sock", "status", timeout_s=1)


def test_files_are_written_whole_with_exact_modes(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    write_heartbeat(path, mode="pin", park_s=20, now_s=5.7)
    assert path.read_text() == "scaleplan 1 5 pin 20\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", "x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "heartbeat"]


def test_host_files() -> None:
    assert host_file_lines(["b", "a"], tasks_per_node=2) == "b\nb\na\na\n"
    with pytest.raises(InputError):
        host_file_lines(["a b"])


def test_log_lines_are_json_without_line_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    from planner.slurm.log import JsonLog

    JsonLog().write("x", text="a\nb\u202e", many=("p", 1), more={"k": object})
    record = json.loads(capsys.readouterr().err)
    assert record["text"] == "a\nb\u202e"
    assert abs(record["time"] - time.time()) < 60
    assert sys.stderr is not None

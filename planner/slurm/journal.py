"""The journal: every decision, before it is carried out and after, in SQLite with a write-ahead log.

A restart reads from it which jobs were pinned where. What Slurm itself says is always the judge: a pin that stands in
the journal and not in Slurm never happened, and one that stands in Slurm is never made twice.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topologies.errors import OutputError

__all__ = ["Decision", "Journal", "TrackedJob"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    ref TEXT NOT NULL, submit_s INTEGER NOT NULL, job_id INTEGER NOT NULL, state TEXT NOT NULL,
    tries INTEGER NOT NULL, passes INTEGER NOT NULL, since_s REAL NOT NULL, changed_s REAL NOT NULL,
    hosts TEXT NOT NULL, ran_on TEXT NOT NULL, starts INTEGER NOT NULL,
    PRIMARY KEY (ref, submit_s)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, ref TEXT NOT NULL, submit_s INTEGER NOT NULL,
    action TEXT NOT NULL, hosts TEXT NOT NULL, reason TEXT NOT NULL, figures TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_by_job ON decisions (ref, submit_s);
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (at_s);
"""
SCHEMA_VERSION = 1
LIVE_STATES = ("parked", "pinning", "pinned", "preferred", "releasing", "released", "running")
UNDER_WAY = ("pinning", "pinned", "preferred", "releasing")  # told Slurm, which has yet to act on it


@dataclass(frozen=True)
class TrackedJob:
    """A job in the journal.

    Parameters
    ----------
    state
        ``parked``; ``pinning`` (told Slurm, not yet seen); ``pinned`` (seen); ``preferred``; ``releasing`` (not
        yet seen to be in Slurm's hands); ``running``; ``released`` (Slurm's now: watched, never touched again);
        ``done``.
    tries
        Plans that Slurm did not carry out.
    passes
        Times a job behind this one was placed while it was not.
    since_s, changed_s
        First seen; last change of state.
    hosts
        Hosts in rank order it is pinned to.
    ran_on
        Hosts Slurm ran it on.
    starts
        How often it was seen to start.
    """

    ref: str
    submit_s: int
    job_id: int
    state: str
    tries: int = 0
    passes: int = 0
    since_s: float = 0.0
    changed_s: float = 0.0
    hosts: tuple[str, ...] = ()
    ran_on: tuple[str, ...] = ()
    starts: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What tells jobs apart: a number can come again after Slurm's counter wraps."""
        return (self.ref, self.submit_s)


@dataclass(frozen=True)
class Decision:
    """One thing that was decided for a job, with the reason in words."""

    at_s: float
    ref: str
    submit_s: int
    action: str
    hosts: tuple[str, ...] = ()
    reason: str = ""
    figures: dict[str, Any] | None = None


class Journal:
    """The journal's file.

    Parameters
    ----------
    path
        Made with mode 0600 if new.
    read_only
        For ``status`` and ``why`` beside a running daemon.

    Raises
    ------
    OutputError
        If the file cannot be opened, is no journal, or is of a newer version.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        try:
            if not read_only:
                path.touch(mode=0o600, exist_ok=True)
                path.chmod(0o600)
            uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                what="cannot open the journal", where=path, found=error, fix="check the folder and its rights"
            ) from error
        try:
            if not read_only:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.executescript(_SCHEMA)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not read_only:
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except sqlite3.Error as error:
            self._db.close()
            raise OutputError(
                what="cannot read the journal", where=path, found=error, fix="move it away; a new one is made"
            ) from error
        if version > SCHEMA_VERSION:
            self._db.close()
            raise OutputError(
                what="the journal is of a newer version", where=path, found=version, allowed=SCHEMA_VERSION
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def write(self, jobs: Iterable[TrackedJob] = (), decisions: Iterable[Decision] = ()) -> None:
        """Write jobs and decisions together, all or none.

        Raises
        ------
        OutputError
            If they cannot be written (disk full).
        """
        job_rows = [
            (j.ref, j.submit_s, j.job_id, j.state, j.tries, j.passes, j.since_s, j.changed_s, *_texts(j), j.starts)
            for j in jobs
        ]
        decision_rows = [
            (d.at_s, d.ref, d.submit_s, d.action, " ".join(d.hosts), d.reason, json.dumps(d.figures or {}))
            for d in decisions
        ]
        if not job_rows and not decision_rows:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?)", job_rows)
            self._db.executemany(
                "INSERT INTO decisions (at_s, ref, submit_s, action, hosts, reason, figures) VALUES (?,?,?,?,?,?,?)",
                decision_rows,
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise OutputError(what="cannot write the journal", where=self.path, found=error) from error

    def probe(self) -> bool:
        """Whether the journal can be written now."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("CREATE TABLE IF NOT EXISTS probe (text TEXT)")
            self._db.execute("INSERT INTO probe VALUES (hex(randomblob(4096)))")
            self._db.execute("DELETE FROM probe")
            self._db.execute("COMMIT")
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            return False
        return True

    def live_jobs(self) -> dict[str, TrackedJob]:
        """Return the jobs that are not yet done, by number; of two with one number the newer."""
        marks = ",".join("?" * len(LIVE_STATES))
        rows = self._db.execute(f"SELECT * FROM jobs WHERE state IN ({marks}) ORDER BY submit_s", LIVE_STATES)
        return {job.ref: job for job in map(_job, rows)}

    def find(self, ref: str) -> TrackedJob | None:
        """Return the newest job of this number, or of an array's task."""
        row = self._db.execute("SELECT * FROM jobs WHERE ref = ? ORDER BY submit_s DESC LIMIT 1", (ref,)).fetchone()
        return _job(row) if row else None

    def decisions(self, ref: str | None = None, *, since_s: float = 0.0, limit: int = 1000) -> list[Decision]:
        """Return decisions, oldest first; the newest `limit` of them."""
        where = "at_s >= ?"
        values: tuple[object, ...] = (since_s, limit)
        if ref is not None:
            where, values = f"ref = ? AND {where}", (ref, *values)
        rows = self._db.execute(
            f"SELECT at_s, ref, submit_s, action, hosts, reason, figures FROM decisions WHERE {where} "
            "ORDER BY id DESC LIMIT ?",
            values,
        ).fetchall()
        return [
            Decision(at_s, job, submit_s, action, tuple(hosts.split()), reason, json.loads(figures))
            for at_s, job, submit_s, action, hosts, reason, figures in reversed(rows)
        ]

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        return dict(self._db.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())

    def jobs(self, *, since_s: float = 0.0) -> list[TrackedJob]:
        """Return all jobs that changed since a time."""
        return [_job(row) for row in self._db.execute("SELECT * FROM jobs WHERE changed_s >= ?", (since_s,))]

    def forget_before(self, at_s: float) -> None:
        """Drop jobs that are done or handed over, and decisions, from before a time."""
        try:
            self._db.execute("DELETE FROM jobs WHERE changed_s < ? AND state IN ('done', 'released')", (at_s,))
            self._db.execute("DELETE FROM decisions WHERE at_s < ?", (at_s,))
        except sqlite3.Error as error:
            raise OutputError(what="cannot write the journal", where=self.path, found=error) from error


def _texts(job: TrackedJob) -> tuple[str, str]:
    return " ".join(job.hosts), " ".join(job.ran_on)


def _job(row: Sequence[Any]) -> TrackedJob:
    ref, submit_s, job_id, state, tries, passes, since_s, changed_s, hosts, ran_on, starts = row
    return TrackedJob(
        ref,
        submit_s,
        job_id,
        state,
        tries,
        passes,
        since_s,
        changed_s,
        tuple(hosts.split()),
        tuple(ran_on.split()),
        starts,
    )

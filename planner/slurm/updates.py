"""The lines that are sent to ``scontrol``: built from checked parts only, never from a user's text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from planner.slurm.commands import CommandOutput, SlurmCommands
from topologies.errors import InputError
from topologies.hostlist import compress_hosts, is_host_name

__all__ = ["PARKED", "PINNED", "RELEASED", "merge_mark", "send_updates", "update_line"]

PARKED, PINNED, RELEASED = "scaleplan:parked", "scaleplan:pinned", "scaleplan:released"
MAX_MARK_CHARS = 1000

_REF = re.compile(r"\d{1,10}(?:_\d{1,10}|_\[[\d,\-]{1,4000}\])?\Z", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9._:/=,@+|\[\]-]*\Z", re.ASCII)
_OUR_MARK = re.compile(r"\|?scaleplan:[^|\s]*")


def merge_mark(admin_comment: str, mark: str) -> str | None:
    """Return the admin comment with our mark in it; ``None`` if the site's own text cannot be kept word for word.

    ``scontrol`` keeps quotes as part of the text, so a text with spaces cannot be written back unchanged.
    """
    own = _OUR_MARK.sub("", admin_comment)
    if not _PLAIN.match(own) or not _PLAIN.match(mark) or len(own) + len(mark) > MAX_MARK_CHARS:
        return None
    return f"{own}|{mark}" if own else mark


def update_line(
    ref: str,
    *,
    hosts: Iterable[str] | None = None,
    start_in_s: int | None = None,
    mark: str | None = None,
    prefer: str | None = None,
    switches: str | None = None,
) -> str:
    """Return one ``update`` line.

    Parameters
    ----------
    ref
        Job, task, or tasks of an array.
    hosts
        Required hosts; an empty list clears them; ``None`` leaves them.
    start_in_s
        Earliest start in so many seconds, 0 for now; ``None`` leaves it.
    mark
        New admin comment; ``None`` leaves it.
    prefer, switches
        Soft wishes: a node feature, and ``count@seconds``.

    Raises
    ------
    InputError
        If a part is not what it should be; nothing of a user's text gets through.
    """
    if not _REF.match(ref):
        raise InputError(what="not a job number", found=repr(ref))
    words = [f"update JobId={ref}"]
    if hosts is not None:
        names = tuple(hosts)
        if bad := [name for name in names if not is_host_name(name)]:
            raise InputError(what="not a host name", found=repr(bad[0]))
        words.append(f"ReqNodeList={compress_hosts(names)}")
    for key, value in (("Prefer", prefer), ("Switches", switches), ("AdminComment", mark)):
        if value is not None:
            if not _PLAIN.match(value) or len(value) > MAX_MARK_CHARS:
                raise InputError(what=f"not a plain {key}", found=repr(value))
            words.append(f"{key}={value}")
    if start_in_s is not None:
        words.append("StartTime=now" if start_in_s <= 0 else f"StartTime=now+{int(start_in_s)}")
    return " ".join(words)


def send_updates(commands: SlurmCommands, lines: Iterable[str]) -> CommandOutput | None:
    """Send lines through ``scontrol``'s standard input, in order, in one process.

    What came of each is not read from its output, which differs by version, but from the queue afterwards.

    Raises
    ------
    CommandError
        If ``scontrol`` could not be run or hung.
    """
    text = "".join(f"{line}\n" for line in lines)
    return commands.run(["scontrol"], stdin_text=text, check=False) if text else None

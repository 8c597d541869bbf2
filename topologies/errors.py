"""The one error base of the project, and how its message is laid out.

Every error that a user can cause says *what* went wrong, *where*, what was *found*, what is *allowed* and how to
mend it (*fix*), in one line. The command line prints that line and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["InfeasibleError", "InputError", "OutputError", "ScaleplanError"]

_MAX_FIELD_CHARS = 400


def _one_line(text: object) -> str:
    """Return `text` as one printable line: control characters escaped, over-long text cut."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return line if len(line) <= _MAX_FIELD_CHARS else line[: _MAX_FIELD_CHARS - 1] + "…"


class ScaleplanError(Exception):
    """Base of every error this project raises on purpose.

    Parameters
    ----------
    what
        What went wrong, as a short sentence without a full stop.
    where
        The place: ``file:line``, a key path, an option or an object's name.
    found, allowed, fix
        What stood there, what may stand there, and how to mend it. Empty ones are left out of the message.
    """

    exit_code = 1

    def __init__(
        self, *, what: str, where: object = "", found: object = "", allowed: object = "", fix: object = ""
    ) -> None:
        self.what = _one_line(what)
        self.where = _one_line(where)
        self.found = _one_line(found)
        self.allowed = _one_line(allowed)
        self.fix = _one_line(fix)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole error in one line."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        parts += [
            f"{label}: {text}"
            for label, text in (("found", self.found), ("allowed", self.allowed), ("fix", self.fix))
            if text
        ]
        return "; ".join(parts)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Callable[..., ScaleplanError], tuple[object, ...]]:
        # Errors of worker processes come back pickled, and the default calls the class with the message alone.
        return _again, (type(self), self.what, self.where, self.found, self.allowed, self.fix)


def _again(kind: type[ScaleplanError], what: str, where: str, found: str, allowed: str, fix: str) -> ScaleplanError:
    return kind(what=what, where=where, found=found, allowed=allowed, fix=fix)


class InputError(ScaleplanError):
    """What the user gave cannot be used: a file, an option, an argument. Exit code 2."""

    exit_code = 2


class OutputError(ScaleplanError):
    """A result could not be written. Exit code 1."""

    exit_code = 1


class InfeasibleError(ScaleplanError):
    """The question was well put and has no answer; the message holds the reasons. Exit code 3."""

    exit_code = 3

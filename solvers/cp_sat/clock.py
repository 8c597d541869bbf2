"""What a run's time limit is counted by: seconds that pass, or work that is done."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """Tells how much of its time a run has used.

    Parameters
    ----------
    is_repeatable
        False: seconds that pass. True: work, each piece of it charged as so many seconds, and CP-SAT by its own
        deterministic time; the same problem and seed then take the same way on any machine, however long that is.
    """

    def __init__(self, *, is_repeatable: bool = False) -> None:
        self.is_repeatable = is_repeatable
        self._used_s = 0.0

    @property
    def now_s(self) -> float:
        """Seconds since some beginning."""
        return self._used_s if self.is_repeatable else time.monotonic()

    def charge(self, work_s: float) -> None:
        """Take note of work that counts as so many seconds; nothing where seconds pass by themselves."""
        self._used_s += work_s

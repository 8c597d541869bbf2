"""Runs CP-SAT so that an interrupt, or an error in a callback, stops it at once instead of at its time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["solve"]

_LOOK_S = 0.05  # how often the main thread looks for an interrupt


def solve(solver: Any, model: Any, *, on_bound: Callable[[float], None] | None = None) -> Any:
    """Solve in a thread of its own; return the status.

    Parameters
    ----------
    solver, model
        Of OR-Tools.
    on_bound
        Called with every better bound, in the model's own units.

    Raises
    ------
    BaseException
        What the callback raised, or ``KeyboardInterrupt``, once the solver has stopped.
    """
    solver.parameters.catch_sigint_signal = False
    raised: list[BaseException] = []
    found: list[Any] = []

    def told(bound: float) -> None:
        if on_bound is None or raised:
            return
        try:
            on_bound(bound)
        except BaseException as error:  # must not pass through the solver's own threads
            raised.append(error)
            solver.stop_search()

    def run() -> None:
        try:
            found.append(solver.solve(model))
        except BaseException as error:  # handed to the caller below
            raised.append(error)

    if on_bound is not None:
        solver.best_bound_callback = told
    thread = threading.Thread(target=run, name="cp-sat")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_S)
    except BaseException:
        solver.stop_search()
        thread.join()
        raise
    if raised:
        raise raised[0]
    return found[0]

"""Runs the cells of a study on all cores, over any parameters, with progress; what is done is kept in a journal."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from planner.weigh.cell import weigh_cell
from planner.weigh.study_file import Assumptions, Design, Limits, Study, Workload
from topologies.errors import InputError, OutputError

__all__ = ["MOST_POINTS", "Point", "parse_sweep", "points_of", "run_points"]

MOST_POINTS = 100_000
_MOST_VALUES = 10_000
_DESIGN_KEYS = ("scale_up_domain", "scale_up_gb_per_s", "nic_gbps", "oversubscription", "leaf_accelerators",
                "watts_an_accelerator", "price_usd", "blast_accelerators")  # fmt: skip
_WHOLE = frozenset(
    {
        "scale_up_domain",
        "leaf_accelerators",
        "blast_accelerators",
        "size",
        "seq",
        "global_batch",
        "prompt_tokens",
        "output_tokens",
    }
)
_WORKLOAD_KEYS = ("seq", "global_batch", "tokens", "prompt_tokens", "output_tokens", "tpot_ms", "ttft_ms")
_ASSUMPTION_KEYS = tuple(f.name for f in fields(Assumptions) if f.type == "float")

Sweep = tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One cell to be weighed, with the swept values that made it."""

    design: Design
    workload: Workload
    num_accelerators: int
    limits: Limits
    assumptions: Assumptions
    swept: tuple[tuple[str, float], ...] = ()
    domain_study: bool = True

    @property
    def key(self) -> str:
        """A digest of everything that the result depends on."""
        told = repr((self.design.identity, self.workload.name, sorted(self.workload.values.items()),
                     self.num_accelerators, self.limits, self.assumptions, self.swept, self.domain_study))  # fmt: skip
        return hashlib.sha256(told.encode()).hexdigest()[:24]


def parse_sweep(texts: Sequence[str]) -> Sweep:
    """Read ``name=a,b,c`` items.

    Raises
    ------
    InputError
        If an item is none, a name is unknown or there twice, or a value is no positive number.
    """
    known = ("size", *_DESIGN_KEYS, *_WORKLOAD_KEYS, *_ASSUMPTION_KEYS)
    sweep: dict[str, tuple[float, ...]] = {}
    for text in itertools.chain.from_iterable(t.split() for t in texts):
        name, equals, values = text.partition("=")
        if not equals or name not in known or name in sweep:
            raise InputError(
                what="not something to sweep" if name not in sweep else "swept twice",
                where="--sweep",
                found=repr(text),
                allowed=f"name=value,value… with a name of {', '.join(known)}",
            )
        try:
            numbers = tuple(dict.fromkeys(float(v) for v in values.split(",")))
        except ValueError:
            numbers = ()
        whole = name in _WHOLE
        if not numbers or not all(0 < v < 1e15 and (not whole or v == int(v)) for v in numbers):
            raise InputError(
                what=f"bad values of {name}",
                where="--sweep",
                found=repr(values),
                allowed=f"{'whole' if whole else 'finite'} numbers above 0, with commas",
            )
        sweep[name] = numbers
    return tuple(sweep.items())


def points_of(study: Study, sweep: Sweep = ()) -> list[Point]:
    """Return every cell of a study, times every value of what is swept.

    Raises
    ------
    InputError
        If there would be more than `MOST_POINTS`, with their number.
    """
    swept = dict(sweep)
    sizes = tuple(int(v) for v in swept.pop("size", ())) or study.sizes
    count = len(study.designs) * len(study.workloads) * len(sizes)
    for values in swept.values():
        count *= len(values)
    if count > MOST_POINTS:
        raise InputError(
            what="a sweep of too many points",
            where="--sweep",
            found=f"{count:,} points ({' × '.join(f'{len(v):,} {k}' for k, v in sweep)})",
            allowed=f"{MOST_POINTS:,}",
            fix="sweep fewer values",
        )
    return list(_points(study, swept, sizes, with_domain=not sweep))


def _points(
    study: Study, swept: Mapping[str, Sequence[float]], sizes: Sequence[int], *, with_domain: bool
) -> Iterator[Point]:
    names = list(swept)
    for values in itertools.product(*swept.values()):
        chosen = dict(zip(names, values, strict=True))
        of_design = {k: int(v) if k in _WHOLE else v for k, v in chosen.items() if k in _DESIGN_KEYS}
        of_workload = {k: int(v) if k in _WHOLE else v for k, v in chosen.items() if k in _WORKLOAD_KEYS}
        assumptions = study.assumptions.changed({k: v for k, v in chosen.items() if k in _ASSUMPTION_KEYS})
        for design, workload, size in itertools.product(study.designs, study.workloads, sizes):
            yield Point(
                design.changed(**of_design),
                Workload(workload.name, {**workload.values, **of_workload}),
                size,
                study.limits,
                assumptions,
                tuple(chosen.items()),
                with_domain,
            )


def _weigh(point: Point) -> dict[str, Any]:
    cell = weigh_cell(
        point.design,
        point.workload,
        point.num_accelerators,
        point.limits,
        point.assumptions,
        domain_study=point.domain_study,
    )
    return {**cell, "swept": dict(point.swept)} if point.swept else cell


def run_points(
    points: Sequence[Point],
    *,
    journal: Path | None = None,
    workers: int | None = None,
    dask: str | None = None,
    say: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Weigh points, in their order.

    Parameters
    ----------
    points
        What is weighed.
    journal
        A file that results are added to as they come; those already in it are not reckoned again.
    workers
        Processes; one a core if ``None``. One does everything here.
    dask
        Address of a Dask scheduler to run them on.
    say
        Called with how many are done and how many there are.

    Raises
    ------
    InputError
        If the journal is no journal, or Dask is wanted and not installed or not there.
    OutputError
        If the journal cannot be written.
    """
    done = _read_journal(journal)
    todo = [i for i, point in enumerate(points) if point.key not in done]
    say(len(points) - len(todo), len(points))
    finished = len(points) - len(todo)
    results = _results([points[i] for i in todo], workers, dask)
    try:
        with _JournalWriter(journal) as write:
            for i, cell in zip(todo, results, strict=True):
                done[points[i].key] = cell
                write(points[i].key, cell)
                finished += 1
                say(finished, len(points))
    finally:
        results.close()
    return [done[point.key] for point in points]


def _results(points: Sequence[Point], workers: int | None, dask: str | None) -> Any:
    """Yield the result of each point, in order, as a generator."""
    count = min(workers or os.cpu_count() or 1, len(points))
    if dask is not None:
        return _by_dask(points, dask)
    if count <= 1 or len(points) < _FEWEST_FOR_PROCESSES:
        return (_weigh(point) for point in points)
    return _by_processes(points, count)


_FEWEST_FOR_PROCESSES = 8


def _by_processes(points: Sequence[Point], workers: int) -> Iterator[dict[str, Any]]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        try:
            yield from pool.map(_weigh, points, chunksize=max(1, min(16, len(points) // (4 * workers))))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _by_dask(points: Sequence[Point], address: str) -> Iterator[dict[str, Any]]:
    try:
        from importlib import import_module

        client_class: Any = import_module("distributed").Client
    except ImportError as error:
        raise InputError(
            what="Dask is not installed", where="--dask", fix="install scaleplan with its extra: scaleplan[dask]"
        ) from error
    try:
        client = client_class(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(what="no Dask scheduler answers", where="--dask", found=address) from error
    with client:
        for future in client.map(_weigh, points, pure=False):
            yield future.result()


def _read_journal(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    done = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(what="cannot read the journal", where=path, found=error) from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            done[str(entry["key"])] = dict(entry["cell"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # cut off in the middle of a line: that point is reckoned again
            raise InputError(
                what="not a journal of a sweep", where=f"{path}:{number}", found=line[:80], fix="give another file"
            ) from error
    return done


class _JournalWriter:
    """Adds results to a journal, a whole line each; to nothing if there is no path."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.file: Any = None

    def __enter__(self) -> Callable[[str, dict[str, Any]], None]:
        if self.path is None:
            return lambda key, cell: None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                whole = self.path.read_bytes()
                kept = whole.rfind(b"\n") + 1
                if kept < len(whole):  # a line that was cut off
                    with self.path.open("r+b") as file:
                        file.truncate(kept)
            self.file = self.path.open("a", encoding="utf-8")
        except (OSError, ValueError) as error:
            raise OutputError(what="cannot write the journal", where=self.path, found=error) from error
        return self._write

    def _write(self, key: str, cell: dict[str, Any]) -> None:
        self.file.write(json.dumps({"key": key, "cell": cell}) + "\n")
        self.file.flush()

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

"""The page of results side by side: what changed, the largest changes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.report import CompareStudy
from reports.differences import Difference, matched
from reports.figures.changes import change_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Table, Tile, render_page
from topologies.hostlist import compress_hosts

__all__ = ["ComparePage"]

Documents = Sequence[Mapping[str, Any]]

_MOST_ROWS = 400
_MOST_JOBS = 40
_MOST_HEADS = 60
_MOST_MOVES = 300
_HEADLINES: Mapping[str, tuple[str, ...]] = {
    "place": ("placed_accelerators", "placed_jobs", "worst_slowdown", "excess_slowdown", "worst_link_load_frac",
              "cross_leaf_jobs", "stranded_accelerators", "moves"),
    "score": ("placed_accelerators", "worst_slowdown", "excess_slowdown", "worst_link_load_frac", "cross_leaf_jobs"),
    "replay": ("allocated_frac", "useful_frac", "goodput_frac", "mean_wait_s", "p90_wait_s", "mean_jct_s"),
    "weigh": ("step_s", "days_to_train", "typical", "power_kw", "racks", "mfu_frac", "tokens_per_s"),
    "bill": ("typical", "total", "network", "hosts", "rows"),
}  # fmt: skip
"""Kind of result → the figures, by their last word, that stand in the first table."""


class ComparePage:
    """Renders a `CompareStudy`."""

    def render(self, study: CompareStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: CompareStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: CompareStudy) -> Page:
        """Return what stands on the page."""
        kind = _kind(study)
        documents = [_first(document) for document in study.documents]
        figures = matched(documents)
        changed = [d for d in figures if d.is_change]
        heads = _heads(study, figures)[:_MOST_HEADS]
        blocks = []
        if heads:
            lead = "The first result is what the others are held against; the change is from the first to the last."
            blocks.append(Block("decision", "Side by side", lead, table=_table(study, heads), short="Side by side"))
        if kind in ("place", "score"):
            blocks += [*_jobs(study, documents), *_moves(study, documents)]
        blocks += [_changes(study, changed, len(figures)), *_words(study, documents)]
        made = {
            f"versions of {name}": ", ".join(f"{k} {v}" for k, v in (document.get("versions") or {}).items())
            for name, document in zip(study.names, documents, strict=True)
            if document.get("versions")
        }
        return Page(
            study.title,
            _in_words(study, figures, changed, documents),
            blocks,
            study.provenance,
            eyebrow="Results side by side",
            tiles=_tiles(study, figures, changed, documents),
            made=made,
        )


def _kind(study: CompareStudy) -> str:
    return str(study.documents[0]["schema"]).split("/")[1]


def _heads(study: CompareStudy, figures: Sequence[Difference]) -> list[Difference]:
    """Return the figures that stand in the first table."""
    wanted = _HEADLINES.get(_kind(study), ())
    return [d for d in figures if d.path[-1] in wanted and "bound" not in d.path]


def _first(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of a document: the first of several solvers' results, else the document."""
    results = document.get("results")
    if isinstance(results, list) and results and isinstance(results[0], Mapping):
        return results[0]
    return document


def _score(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("score", document)
    return found if isinstance(found, Mapping) else {}


def _by_id(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    jobs = _score(document).get("jobs")
    return (
        {str(job["id"]): job for job in jobs if isinstance(job, Mapping) and "id" in job}
        if isinstance(jobs, list)
        else {}
    )


def _table(study: CompareStudy, figures: Sequence[Difference], caption: str = "") -> Table:
    rows = [[_name(d.path), *("–" if v is None else v for v in d.values), _change(d)] for d in figures[:_MOST_ROWS]]
    return Table(["figure", *study.names, "change"], rows, caption)


def _name(path: Sequence[str]) -> str:
    words = [
        word.replace("_", " ").removesuffix(" frac") for word in path if word not in ("score", "components", "summary")
    ]
    return " · ".join(words) or "value"


def _change(difference: Difference) -> str:
    if not difference.is_change:
        return "same"
    first, last = difference.values[0], difference.values[-1]
    if first is None:
        return "new"
    if last is None:
        return "gone"
    change = difference.change_frac
    return "from nothing" if change == float("inf") else f"{change:+.1%}"


def _in_words(
    study: CompareStudy,
    figures: Sequence[Difference],
    changed: Sequence[Difference],
    documents: Documents,
) -> list[str]:
    if not changed:
        return [f"All {len(figures):,} figures are the same in {', '.join(study.names)}."]
    first, last = study.names[0], study.names[-1]
    told = [f"{len(changed):,} of {len(figures):,} figures change from {first} to {last}."]
    heads = [d for d in _heads(study, changed) if None not in (d.values[0], d.values[-1])]
    if heads:
        parts = [f"{_name(d.path)} {d.values[0]:,.4g} → {d.values[-1]:,.4g} ({_change(d)})" for d in heads[:4]]
        told.append("; ".join(parts) + ".")
    if _kind(study) in ("place", "score"):
        before, after = _by_id(documents[0]), _by_id(documents[-1])
        gained, lost = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        told.append(
            f"{len(before.keys() & after.keys()):,} jobs are placed in both, {gained:,} only in {last}, {lost:,} "
            f"only in {first}."
        )
    return told


def _tiles(
    study: CompareStudy,
    figures: Sequence[Difference],
    changed: Sequence[Difference],
    documents: Documents,
) -> list[Tile]:
    tiles = [Tile("Figures that change", f"{len(changed):,}", f"of {len(figures):,}")]
    if _kind(study) in ("place", "score"):
        tiles.append(Tile("Jobs that move", f"{len(_moved(documents)):,}", f"{study.names[0]} to {study.names[-1]}"))
    heads = _heads(study, figures)
    for d in heads[:3]:
        if d.values[0] is not None and d.values[-1] is not None:
            tiles.append(Tile(_name(d.path)[:60], f"{d.values[-1]:,.4g}", f"{d.values[0]:,.4g} before, {_change(d)}"))
    return tiles


def _jobs(study: CompareStudy, documents: Documents) -> list[Block]:
    """Return the slow-down of each job in every result, the largest change first."""
    by_id = [_by_id(document) for document in documents]
    names = list(dict.fromkeys(name for jobs in by_id for name in jobs))

    def values(name: str) -> list[float | None]:
        found = [jobs.get(name, {}).get("slowdown") for jobs in by_id]
        return [float(v) if isinstance(v, (int, float)) else None for v in found]

    told = [(name, values(name)) for name in names]
    told.sort(key=lambda item: -_spread(item[1]))
    shown = [item for item in told if _spread(item[1]) > 0][:_MOST_JOBS]
    if not shown:
        return []
    rows = [[name, *("not placed" if v is None else f"{v:.3f}×" for v in own)] for name, own in told[:_MOST_ROWS]]
    series = [(study.names[i], [own[i] for _, own in shown]) for i in range(len(study.names))]
    return [
        Block(
            "jobs",
            "Slow-down of jobs",
            "Network time beside the others over that alone; the jobs that change most. A missing mark: not placed.",
            change_figure([name for name, _ in shown], series, "slow-down", suffix="×"),
            "Range chart: slow-down of each job in every result, the largest change on top.",
            Table(["job", *study.names], rows),
            short="Jobs",
            models=("congestion",),
        )
    ]


def _spread(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return (max(known) - min(known)) if len(known) == len(values) else float(bool(known))


def _hosts(document: Mapping[str, Any]) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return job → (host, accelerator) of every rank, sorted."""
    placement = document.get("placement")
    jobs = placement.get("jobs") if isinstance(placement, Mapping) else None
    if not isinstance(jobs, Mapping):
        return {}
    return {
        str(name): tuple(sorted((str(run["host"]), int(a)) for run in runs for a in run["accelerators"]))
        for name, runs in jobs.items()
    }


def _moved(documents: Documents) -> list[str]:
    before, after = _hosts(documents[0]), _hosts(documents[-1])
    return [name for name in before if name in after and before[name] != after[name]]


def _moves(study: CompareStudy, documents: Documents) -> list[Block]:
    before, after = _hosts(documents[0]), _hosts(documents[-1])
    if not before and not after:
        return []
    moved = _moved(documents)
    others = [name for name in (*before, *after) if (name in before) != (name in after)]

    def told(where: Mapping[str, tuple[tuple[str, int], ...]], name: str) -> str:
        return compress_hosts(list(dict.fromkeys(host for host, _ in where[name]))) if name in where else "not placed"

    rows = [
        [name, len(after.get(name) or before[name]), told(before, name), told(after, name)]
        for name in [*moved, *dict.fromkeys(others)][:_MOST_MOVES]
    ]
    if not rows:
        return [Block("moves", "Moves", notes=["Every job stands on the same accelerators."])]
    lead = f"{len(moved):,} jobs stand elsewhere; {len(set(others)):,} are placed in one of both only."
    table = Table(["job", "accelerators", study.names[0], study.names[-1]], rows)
    return [Block("moves", "Moves", lead, table=table)]


def _changes(study: CompareStudy, changed: Sequence[Difference], total: int) -> Block:
    order = sorted(changed, key=lambda d: -abs(d.change_frac))
    caption = f"{len(changed):,} of {total:,} figures" + (
        f", the first {_MOST_ROWS}" if len(changed) > _MOST_ROWS else ""
    )
    lead = "Every figure that is not the same, the largest relative change first."
    return Block("changes", "What changed", lead, table=_table(study, order, caption), short="All changes")


def _words(study: CompareStudy, documents: Documents) -> list[Block]:
    """Return what the results say in words, where they do."""
    notes = []
    for name, document in zip(study.names, documents, strict=True):
        decision = document.get("decision")
        if isinstance(decision, Mapping) and decision.get("answer"):
            notes.append(f"{name}: {decision['answer']}")
        refusals = document.get("refusals")
        if isinstance(refusals, list):
            told = [r for r in refusals if isinstance(r, Mapping)]
            notes += [f"{name} does not place {r.get('job')}: {r.get('reason')}" for r in told[:20]]
            if len(told) > 20:
                notes.append(f"{name} does not place {len(told) - 20} more")
    return [Block("words", "In words", notes=notes)] if notes else []

"""Suite ``effects``: published claims on networks, each reproduced or listed with the reason why not.

``measured/effects.yaml`` holds claims with their set-ups. A claim is taken by the form of its keys, not by its name, so
that other claims of the same form are taken too. Reproduced means: the same direction, and inside the claim's range
where it states one, else within the band that uncalibrated figures carry. The target is on the direction of all claims
taken; those outside their range are listed with the likely reason, and so are those that no model here takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target
from planner.validation.suites.effects_fabric import FABRIC_CLAIMS
from planner.validation.suites.effects_network import NETWORK_CLAIMS
from planner.validation.suites.effects_record import Effect
from planner.validation.suites.effects_training import TRAINING_CLAIMS
from topologies.errors import InputError

__all__ = ["SUITE"]

_FILE = "measured/effects.yaml"

# Why claims that no model here takes are left, by a word of their kind.
_REASONS = MappingProxyType(
    {
        "placement": "needs the paper's own scheduler, job or objective, which are not published",
        "cross-pod": "neither the oversubscription nor the traffic beside is published",
        "solver": "the speed of another solver",
        "parallelism": "a training run, not a collective",
        "cost": "prices, not a collective",
        "failure": "the throughput of a training run whose traffic is not published",
        "ecmp": "neither the algorithm nor the network behind the leaves is published",
        "congestion": "what the jobs send each step is not published",
        "topology": "training runs or simulations whose traffic is not published",
        "structure": "the parts of the network are not published, only what they add up to",
        "latency": "the latency of bare messages, where this model has that of collectives",
    }
)
_NO_REASON = "no model of such a claim"


def _read(entry: object, where: str) -> Effect:
    if not isinstance(entry, Mapping) or "id" not in entry or not isinstance(entry.get("claims"), Mapping):
        raise InputError(what="not a claim", where=where, allowed="a mapping with id and claims")
    setup = entry.get("setup", {})
    if not isinstance(setup, Mapping):
        raise InputError(what="bad setup", where=f"{where}: {entry['id']}", allowed="a mapping")
    return Effect(str(entry["id"]), str(entry.get("kind", "")), setup, entry["claims"], f"{where}: {entry['id']}")


def _cases(effect: Effect) -> list[Case]:
    cases: list[Case] = []
    left = dict(effect.claims)
    for take in (*NETWORK_CLAIMS, *FABRIC_CLAIMS, *TRAINING_CLAIMS):
        taken, made = take(effect)
        cases += made
        for key in taken:
            left.pop(key, None)
    left = {key: value for key, value in left.items() if key != "text" and not key.endswith("_spec")}
    if left:
        reason = next((why for word, why in _REASONS.items() if word in effect.kind.lower()), _NO_REASON)
        detail = {"claims": sorted(map(str, left))}
        cases.append(Case(effect.id, "left out", counts=False, why_not=f"left out: {reason}", detail=detail))
    return cases


class EffectsSuite:
    """Published claims."""

    name = "effects"
    title = "published claims on latency, efficiency, topology and congestion"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Take every claim that has a model."""
        document = data.yaml(_FILE)
        entries = document.get("cases") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise InputError(what="no list of cases", where=data.path / _FILE, allowed="a mapping with a list `cases`")
        effects = [_read(entry, f"{data.path / _FILE}: case {i}") for i, entry in enumerate(entries)]
        cases = [case for effect in effects for case in _cases(effect)]
        directions = [bool(case.detail["same_direction"]) for case in cases if case.counts]
        share = sum(directions) / len(directions) if directions else None
        notes = [f"{case.name} not reproduced: {case.detail['reason']}" for case in cases if case.agrees is False]
        notes += [f"{case.name} {case.why_not} ({', '.join(case.detail['claims'])})" for case in cases if case.why_not]
        return SuiteOutcome(cases, [Target("direction agreement_frac", share, 1.0, ">=")], notes)


SUITE = EffectsSuite()

"""Errors: one line that says everything, unchanged by a trip between processes."""

import pickle

import pytest

from topologies.errors import InfeasibleError, InputError, OutputError, ScaleplanError


@pytest.mark.parametrize("kind", [ScaleplanError, InputError, OutputError, InfeasibleError])
def test_errors_come_back_whole_from_a_worker_process(kind: type[ScaleplanError]) -> None:
    error = kind(what="bad rate", where="pod.yaml:7", found="'fast'", allowed="a number", fix="say 400")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == "pod.yaml:7: bad rate; found: 'fast'; allowed: a number; fix: say 400"
    assert again.fix == "say 400"


def test_control_characters_and_length_cannot_break_the_line() -> None:
    error = InputError(what="bad name", found="a\nb\x1b[31m" + "x" * 1000)
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(error.found) == 400

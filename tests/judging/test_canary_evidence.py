"""What canaries prove: that we could see, if at every beat at least half of two or more of them answered."""

import pytest

from app.judging.canary_evidence import CanaryBeat, CanaryLog, CanaryVerdict

THREE = ("192.0.2.1", "192.0.2.2", "192.0.2.3")


def log(*beats: tuple[bool, ...], every_s: float = 2.0) -> CanaryLog:
    canaries = CanaryLog(THREE[: len(beats[0])] if beats else THREE)
    for number, answered in enumerate(beats):
        canaries.append(CanaryBeat(every_s * number, answered))
    return canaries


@pytest.mark.parametrize(
    ("canaries", "verdict"),
    [
        (log(*[(True, True)] * 20), CanaryVerdict.ANSWERING),
        (log(*[(True, False)] * 20), CanaryVerdict.ANSWERING),  # a tie is not ours
        (log(*[(True, True, False)] * 20), CanaryVerdict.ANSWERING),
        (log(*[(True, True, True)] * 9, (True, False, False), *[(True, True, True)] * 10), CanaryVerdict.SILENT),
        (log(*[(False, False)] * 20), CanaryVerdict.SILENT),
        (log(*[(True,)] * 20), CanaryVerdict.TOO_FEW),
        (log(*[(True, True)] * 5), CanaryVerdict.UNWATCHED),
        (log(*[(True, True)] * 5, every_s=11), CanaryVerdict.UNWATCHED),
        (log(), CanaryVerdict.UNWATCHED),
        (CanaryLog(), CanaryVerdict.TOO_FEW),
    ],
)
def test_the_verdict_of_a_stretch_is_that_of_its_beats(canaries: CanaryLog, verdict: CanaryVerdict) -> None:
    assert canaries.evidence(4.0, 30.0).verdict is verdict


def test_only_beats_within_the_stretch_count() -> None:
    canaries = log(*[(False, True)] * 3, *[(True, True)] * 10)
    evidence = canaries.evidence(4.0, 12.0)
    assert evidence.as_json() == {
        "verdict": "answering",
        "canaries": [
            {"address": "192.0.2.1", "beats": 3, "answered": 3},
            {"address": "192.0.2.2", "beats": 3, "answered": 3},
        ],
    }


def test_beats_of_a_future_that_the_clock_took_back_prove_nothing() -> None:
    canaries = log(*[(True, True)] * 20)
    canaries.forget_after(10.0)
    assert canaries.evidence(4.0, 30.0).verdict is CanaryVerdict.UNWATCHED

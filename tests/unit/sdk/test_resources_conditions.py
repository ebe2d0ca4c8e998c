"""The catalogue of conditions: words that are API."""

import re

import pytest
from ranvier.resources.conditions import CATALOGUE, Condition, Documented

EVERY_REASON = [
    pytest.param(reason, id=f"{kind}-{condition}-{reason}")
    for kind, condition, reasons in CATALOGUE
    for reason in reasons
]


@pytest.mark.parametrize("reason", EVERY_REASON)
def test_every_reason_is_one_word_with_a_meaning_and_a_next_step(reason: Documented) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)
    assert str(reason) == reason.value
    assert reason.meaning.endswith(".")
    assert reason.action.endswith(".")
    for text in (reason.meaning, reason.action):
        assert "|" not in text, "it would end the cell of the page's table"


@pytest.mark.parametrize("reason", EVERY_REASON)
def test_every_reason_fits_into_a_condition(reason: Documented) -> None:
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "False",
            "reason": reason,
            "message": f"{reason.meaning} {reason.action}",
            "lastTransitionTime": "2026-11-21T10:00:00Z",
        }
    )
    assert condition.reason == reason.value


def test_the_same_word_means_the_same_everywhere() -> None:
    """A shared reason has one meaning; where the words differ, the difference is known here."""
    meanings: dict[str, set[str]] = {}
    for _, _, reasons in CATALOGUE:
        for reason in reasons:
            meanings.setdefault(reason, set()).add(reason.meaning)
    shared = {"Suspending", "ShutDown", "JournalUnreachable"}
    assert {word for word, found in meanings.items() if len(found) > 1} <= shared


def test_reasons_are_only_ever_added() -> None:
    """Programs wait for these words. Add new ones here; taking one away breaks them."""
    known = {
        f"{kind} {condition}": {str(reason) for reason in reasons}
        for kind, condition, reasons in CATALOGUE
    }
    assert known["Devbox Ready"] >= {
        "AgentReady",
        "Starting",
        "Suspended",
        "Suspending",
        "ShutDown",
        "WaitingForAxon",
        "BlueprintNotFound",
        "ProtocolUnsupported",
        "SpecInvalid",
        "JournalUnreachable",
        "ImagePullFailed",
        "Unschedulable",
        "VolumePending",
        "PodRefused",
        "PodNotOwned",
        "PodFailed",
        "CrashLoop",
    }
    assert known["Devbox Suspended"] >= {
        "Awake",
        "WakeRequested",
        "Suspending",
        "Idle",
        "OwnerRequested",
        "Requested",
        "ShutDown",
    }
    assert known["Devbox Accepted"] >= {
        "Resolved",
        "AxonNotFound",
        "AxonNotReady",
        "BlueprintNotFound",
        "ProtocolUnsupported",
        "SpecInvalid",
    }
    assert known["Axon Ready"] >= {"Bound", "JournalUnreachable", "JournalRefused", "SpecInvalid"}
    assert known["Blueprint Ready"] >= {"Usable", "SpecInvalid"}

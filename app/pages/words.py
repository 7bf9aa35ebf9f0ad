"""Words for the values of the API, as pages show them: Indonesian by the glossary, English as the API's own."""

from collections.abc import Callable, Mapping

from app.pages.alert_words import ALERT_WORDS, ENGLISH_ALERT_WORDS
from app.pages.compliance_words import COMPLIANCE_WORDS, ENGLISH_COMPLIANCE_WORDS
from app.pages.contract_words import CONTRACT_WORDS, ENGLISH_CONTRACT_WORDS
from app.pages.record_words import ENGLISH_RECORD_WORDS, RECORD_WORDS
from app.pages.report_words import ENGLISH_REPORT_WORDS, REPORT_WORDS
from app.registry import indonesian
from app.registry.vocabulary import CHOICES

CHOICE_WORDS = {field: {value.value: word for value, word in words.items()} for field, words in CHOICES.items()}
INDONESIAN: Mapping[str, Mapping[str, str]] = {
    **CHOICE_WORDS,
    **RECORD_WORDS,
    **ALERT_WORDS,
    **CONTRACT_WORDS,
    **REPORT_WORDS,
    **COMPLIANCE_WORDS,
    "state": {**indonesian.STATES, "inactive": "di luar masa layanan", "maintenance": "pemeliharaan"},
    "unknown_reason": indonesian.UNKNOWN_REASONS,
    "cause": indonesian.CAUSES,
    "evidence": indonesian.EVIDENCE,
    "verdict": indonesian.VERDICTS,
    "incident_kind": indonesian.INCIDENT_KINDS,
    "incident_status": indonesian.INCIDENT_STATUSES,
    "happening": indonesian.HAPPENINGS,
    "window_status": indonesian.WINDOW_STATUSES,
    "role": {
        "province_admin": "admin provinsi",
        "province_operator": "operator provinsi",
        "district_admin": "admin kabupaten/kota",
        "district_operator": "operator kabupaten/kota",
        "viewer": "pembaca",
        "provider_viewer": "pembaca penyedia",
    },
}
ENGLISH = {
    **ENGLISH_RECORD_WORDS,
    **ENGLISH_ALERT_WORDS,
    **ENGLISH_CONTRACT_WORDS,
    **ENGLISH_REPORT_WORDS,
    **ENGLISH_COMPLIANCE_WORDS,
    "technology": {"fiber": "fibre", "leo": "satellite (LEO)", "geo": "satellite (GEO, VSAT)"},
}


def word(kind: str, value: str | None, language: str) -> str:
    """Return the word for a value of `kind`; the value itself where it has none, a dash for None."""
    if value is None:
        return "–"
    words = INDONESIAN[kind] if language == "id" else ENGLISH.get(kind, {})
    return words.get(value, value.replace("_", " "))


def word_filters(language: str) -> dict[str, Callable[[str | None], str]]:
    """Return the filters `state_word`, `cause_word`, … of a language."""

    def filter_of(kind: str) -> Callable[[str | None], str]:
        return lambda value: word(kind, value, language)

    return {f"{kind}_word": filter_of(kind) for kind in INDONESIAN}

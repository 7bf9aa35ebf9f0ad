"""The letters of an SMS (GSM 03.38): 160 of them fit into one, and a single other letter would halve that."""

import unicodedata

LENGTH = 160
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€")  # two letters' worth each
REPLACED = str.maketrans({"‘": "'", "’": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "×": "x"})


def to_gsm(text: str) -> str:
    """Return the text in letters of an SMS: without accents that it lacks, and `?` for what it cannot write."""
    return "".join(_letter(letter) for letter in text.translate(REPLACED))


def gsm_length(text: str) -> int:
    """Return how many letters of an SMS a text of such letters takes."""
    return len(text) + sum(letter in EXTENDED for letter in text)


def _letter(letter: str) -> str:
    if letter in BASIC or letter in EXTENDED:
        return letter
    base = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in base if part in BASIC)
    return plain or ("" if unicodedata.combining(letter) else "?")

"""Rupiah and counts as text in both languages, and the one place where an exact amount is rounded. Pure."""

from fractions import Fraction
from math import floor

from app.core.words import Bilingual


def round_half_up(amount: Fraction) -> int:
    """Return the nearest whole number; of two as near, the greater."""
    return floor(amount + Fraction(1, 2))


def count_in_words(number: Fraction | int, places: int = 0) -> Bilingual:
    """Return a number of at least 0 with its thousands marked, and up to so many decimals, rounded half up."""
    scaled = round_half_up(Fraction(number) * 10**places)
    whole, rest = divmod(scaled, 10**places)
    decimals = f"{rest:0{places}d}".rstrip("0") if places else ""
    english = f"{whole:,}" + (f".{decimals}" if decimals else "")
    return {"id": english.translate(str.maketrans(",.", ".,")), "en": english}


def rupiah_in_words(amount: Fraction | int) -> Bilingual:
    """Return like `Rp 4.500.000`, to the cent where the amount is not whole."""
    exact = Fraction(amount)
    text = count_in_words(exact, 0 if exact.denominator == 1 else 2)
    return {language: f"Rp {said}" for language, said in text.items()}

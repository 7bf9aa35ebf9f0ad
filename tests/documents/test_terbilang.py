"""Numbers in Indonesian words: an amount on paper has one reading."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.figures import bounds, day_in_words, grouped, hours, rupiah, share, target
from app.documents.terbilang import MAX_NUMBER, SCALES, UNITS, rupiah_in_words, terbilang

SCALE_WORDS = {name: scale for scale, name in SCALES}


def read(words: list[str]) -> int:
    """Return the number that words say, scale by scale."""
    total = part = 0
    for word in words:
        if word in SCALE_WORDS:
            total, part = total + part * SCALE_WORDS[word], 0
        elif word == "seribu":
            total += 1_000
        elif word == "ratus":
            part *= 100
        elif word == "seratus":
            part += 100
        elif word == "puluh":
            part += part % 10 * 9
        elif word == "belas":
            part += 10
        else:
            part += UNITS.index(word)
    return total + part


@given(st.integers(0, 10**15) | st.integers(0, MAX_NUMBER))
def test_words_say_the_number(number: int) -> None:
    assert read(terbilang(number).split()) == number


@given(st.integers(1, 10**15))
def test_no_word_is_left_over(number: int) -> None:
    words = terbilang(number)
    assert "nol" not in words.split()
    assert "  " not in words
    assert not any(form in words for form in ("satu puluh", "satu ratus", "satu belas"))
    assert not words.startswith("satu ribu")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "nol"),
        (10, "sepuluh"),
        (11, "sebelas"),
        (12, "dua belas"),
        (19, "sembilan belas"),
        (21, "dua puluh satu"),
        (100, "seratus"),
        (111, "seratus sebelas"),
        (1_000, "seribu"),
        (1_001, "seribu satu"),
        (2_026, "dua ribu dua puluh enam"),
        (11_000, "sebelas ribu"),
        (101_000, "seratus satu ribu"),
        (1_000_000, "satu juta"),
        (1_001_000, "satu juta seribu"),
        (1_500_100_000, "satu miliar lima ratus juta seratus ribu"),
        (10**12, "satu triliun"),
        (10**15, "satu kuadriliun"),
        (-5, "minus lima"),
    ],
)
def test_numbers_as_an_office_writes_them(number: int, words: str) -> None:
    assert terbilang(number) == words


def test_a_number_beyond_all_names_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        terbilang(10**21)


def test_an_amount_in_words() -> None:
    assert rupiah_in_words(28_159) == "dua puluh delapan ribu seratus lima puluh sembilan rupiah"


def test_a_day_in_words() -> None:
    day = day_in_words(date(2026, 11, 9))
    assert day == "Senin, tanggal sembilan bulan November tahun dua ribu dua puluh enam"


def test_figures_are_written_with_points_and_a_comma() -> None:
    assert (grouped(2_678_400), rupiah(4_500_000), rupiah(-1)) == ("2.678.400", "Rp\u00a04.500.000", "−Rp\u00a01")
    assert (share(99.9999), share(100.0), share(None), target(99.0), target(99.5)) == (
        "99,999%",
        "100,000%",
        "–",
        "99%",
        "99,5%",
    )
    assert (bounds(97.5, 99.4), bounds(99.4, 99.4)) == ("97,500–99,400%", "")
    assert (hours(2_678_400), hours(3_661), hours(None)) == ("744.00.00", "1.01.01", "–")

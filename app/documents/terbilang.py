"""Numbers in Indonesian words (terbilang), as they stand beside amounts and dates of official papers."""

MAX_NUMBER = 10**21 - 1
UNITS = ("nol", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan", "sepuluh", "sebelas")
SCALES = (
    (10**18, "kuintiliun"),
    (10**15, "kuadriliun"),
    (10**12, "triliun"),
    (10**9, "miliar"),
    (10**6, "juta"),
    (1_000, "ribu"),
)


def terbilang(number: int) -> str:
    """Return `seratus dua puluh tiga` for 123. Raises ValueError beyond all names of numbers."""
    if abs(number) > MAX_NUMBER:
        raise ValueError(f"{number} is too large to be written in words")
    return " ".join(["minus", *_words(-number)] if number < 0 else _words(number) or UNITS[:1])


def rupiah_in_words(amount: int) -> str:
    """Return `empat juta lima ratus ribu rupiah` for 4,500,000."""
    return f"{terbilang(amount)} rupiah"


def _words(number: int) -> list[str]:
    """Return the words of a number; none for 0."""
    words: list[str] = []
    for scale, name in SCALES:
        count, number = divmod(number, scale)
        if (scale, count) == (1_000, 1):
            words.append("seribu")
        elif count:
            words += [*_below_thousand(count), name]
    return words + _below_thousand(number)


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [] if hundreds == 0 else ["seratus"] if hundreds == 1 else [UNITS[hundreds], "ratus"]
    if rest >= 20:
        tens, rest = divmod(rest, 10)
        words += [UNITS[tens], "puluh"]
    if rest >= 12:
        return [*words, UNITS[rest - 10], "belas"]
    return [*words, UNITS[rest]] if rest else words

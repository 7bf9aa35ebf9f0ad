"""Amounts, shares and days as Indonesian papers write them."""

from datetime import date
from decimal import ROUND_DOWN, Decimal

from app.core.i18n import MONTHS, WEEKDAYS
from app.documents.terbilang import terbilang

NOTHING = "–"
NO_BREAK = "\u00a0"


def grouped(number: int | None) -> str:
    """Return `1.234.567`; a dash for None."""
    return NOTHING if number is None else f"{number:,}".replace(",", ".")


def rupiah(amount: int | None) -> str:
    """Return `Rp 4.500.000`, which no line breaks; a dash for None."""
    if amount is None:
        return NOTHING
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{grouped(abs(amount))}"


def share(percentage: float | Decimal | None) -> str:
    """Return `99,512%`, always of three decimals, cut and never rounded up; a dash for None."""
    if percentage is None:
        return NOTHING
    cut = Decimal(str(percentage)).quantize(Decimal("0.001"), ROUND_DOWN)
    return f"{cut:f}%".replace(".", ",")


def target(percentage: float | Decimal | None) -> str:
    """Return `99,5%`, with no more decimals than it has; a dash for None."""
    if percentage is None:
        return NOTHING
    return f"{Decimal(str(percentage)).normalize():f}%".replace(".", ",")


def bounds(worst: float | None, best: float | None) -> str:
    """Return `97,500–99,512%`; nothing where both are the same."""
    return "" if worst == best else f"{share(worst).removesuffix('%')}–{share(best)}"


def hours(seconds: int | None) -> str:
    """Return `744.00.00`, hours with minutes and seconds; a dash for None."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}.{minutes % 60:02}.{rest:02}"


def long_day(day: date) -> str:
    """Return `9 November 2026`."""
    return f"{day.day} {MONTHS['id'][day.month - 1]} {day.year}"


def day_in_words(day: date) -> str:
    """Return `Senin, tanggal sembilan bulan November tahun dua ribu dua puluh enam`."""
    weekday, month = WEEKDAYS["id"][day.weekday()], MONTHS["id"][day.month - 1]
    return f"{weekday}, tanggal {terbilang(day.day)} bulan {month} tahun {terbilang(day.year)}"

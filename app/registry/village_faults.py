"""Explain why a village code is refused: unknown, dissolved, a BPS code, or not a village's."""

import re
import string
from functools import cache, lru_cache
from typing import Any

from app.core.errors import Fault
from app.registry import regions
from app.registry.models import Level, Region

# BPS and Kemendagri number districts differently: the same digits mean different districts.
BPS_DISTRICTS = {
    "6401": "64.01",
    "6402": "64.07",
    "6403": "64.02",
    "6404": "64.08",
    "6405": "64.03",
    "6409": "64.09",
    "6411": "64.11",
    "6471": "64.71",
    "6472": "64.72",
    "6474": "64.74",
}


@lru_cache(10_000)
def unknown_village(code: str) -> Fault:
    """Return a fault that says why a code is not a village's, and suggests the probable one."""
    field, region = "village_code", _rows().get(code)
    if region is not None:
        return Fault(
            field,
            "not_a_village",
            "{given} is {name} ({level}), not a village",
            "Choose one of its villages: GET /api/v1/regions?level=desa_kelurahan&q={given}",
            values={"given": code, "name": region["name"], "level": region["level"]},
        )
    digits = code.replace(".", "")
    dotted = ".".join((digits[:2], digits[2:4], digits[4:6], digits[6:]))
    if re.fullmatch(r"\d{10}", digits) and dotted in regions.names():
        return Fault(
            field,
            "code_without_dots",
            "Village codes are written with dots",
            "{code} is {name}",
            values={"code": dotted, "name": regions.names()[dotted]},
        )
    looks_bps = re.fullmatch(r"\d{10}", digits) and not re.fullmatch(r"(\d\d\.){3}\d{4}", code)
    if looks_bps and digits[:4] in BPS_DISTRICTS:
        district = BPS_DISTRICTS[digits[:4]]
        return Fault(
            field,
            "bps_code",
            "{given} looks like a BPS code ({name}); sites are registered by Kemendagri codes",
            "Look up the village by its name: GET /api/v1/regions?level=desa_kelurahan&q=<name>; "
            "codes in {name} begin with {code}",
            values={"given": code, "name": regions.names()[district], "code": district},
        )
    near = _without_zeros(code) or _one_digit_off(code)
    return Fault(
        field,
        "unknown_village",
        "There is no village {given} in Kalimantan Timur",
        "Did you mean {near}?" if near else "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>",
        values={"given": code, "near": near},
    )


def _without_zeros(code: str) -> str | None:
    """Return the village's code of which this one lacks leading zeros, like 64.02.5.2003; None if there is none."""
    parts = code.split(".")
    padded = ".".join(part.zfill(2) for part in parts[:3]) + f".{parts[3].zfill(4)}" if len(parts) == 4 else ""
    return padded if _is_village(padded) else None


def _is_village(code: str) -> bool:
    return bool(_rows().get(code, {}).get("level") == Level.DESA_KELURAHAN)


def _one_digit_off(code: str) -> str | None:
    """Return the first village's code from which this one differs by one digit; None if there is none."""
    if len(code) != len("64.02.05.2003"):
        return None
    variants = (f"{code[:at]}{digit}{code[at + 1 :]}" for at in range(len(code) - 1, -1, -1) for digit in string.digits)
    return next(filter(_is_village, variants), None)


def former_village(region: Region) -> Fault:
    return Fault(
        "village_code",
        "former_village",
        "{given} ({name}) ceased to be a village on {valid_to}",
        "Look up the village that replaced it: GET /api/v1/regions?level=desa_kelurahan&q=<name>",
        values={"given": region.code, "name": region.name, "valid_to": region.valid_to},
    )


@cache
def _rows() -> dict[str, dict[str, Any]]:
    return {row["code"]: row for row in regions.read_csv()}

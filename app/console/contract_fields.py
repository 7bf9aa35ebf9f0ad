"""Forms about contracts, read into the bodies that the API takes."""

import re
from typing import Any

from app.console.forms import Form

TEXTS = ("number", "provider", "valid_from", "valid_to", "service_from", "service_to")
NUMBERS = ("sla_target_pct", "min_outage_s", "bandwidth_down_mbps", "bandwidth_up_mbps", "monthly_fee_idr")
FLAGS = ("excuses_parent", "degraded_counts")
FIELDS = (*TEXTS, *NUMBERS, *FLAGS, "excluded_causes", "effective_from", "reason", "version")
SITE_DAY = re.compile(r"\s*[;,\t]\s*|\s+")


def read_contract(form: Form) -> dict[str, Any]:
    """Return the body of a contract; an empty field is null, a number stays a text where it is none."""
    return {
        **{name: form.get(name) or None for name in TEXTS if name in form},
        **{name: read_number(form.get(name, "")) for name in NUMBERS},
        **{name: name in form for name in FLAGS},
        "excluded_causes": form.all("excluded_causes"),
    }


def read_assignments(form: Form) -> dict[str, Any]:
    """Return the body that puts sites under a contract: a line of the form is a code, and maybe its own first day."""
    rows = [SITE_DAY.split(line.strip()) for line in form.get("sites", "").splitlines() if line.strip()]
    dated = {"from": form.get("from"), "to": form.get("to") or None}
    sites = [{"site": row[0], **dated, **({"from": row[1]} if len(row) > 1 else {})} for row in rows]
    return {"sites": sites, "reason": form.get("reason") or None}


def read_days(form: Form) -> dict[str, Any]:
    """Return the change of an assignment's days."""
    return {"from": form.get("from"), "to": form.get("to") or None, "reason": form.get("reason") or None}


def read_number(text: str) -> float | str | None:
    """Return the number of a text with a decimal comma or point; the text itself where it is none: the API says so."""
    text = text.strip().replace(" ", "")
    if not text:
        return None
    if re.fullmatch(r"\d{1,3}(\.\d{3})+", text):  # 4.500.000
        text = text.replace(".", "")
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return text
    if not abs(value) < 2**53:  # also inf and nan
        return text
    return int(value) if value.is_integer() else value

"""Forms about contracts, read into the bodies that the API takes."""

import re
from typing import Any

from app.console.forms import Form
from app.console.numbers import read_number
from app.console.restitution_fields import KIND, RULE_FIELDS, read_rule

TEXTS = ("number", "provider", "valid_from", "valid_to", "service_from", "service_to")
NUMBERS = (
    "sla_target_pct",
    "min_outage_s",
    "bandwidth_down_mbps",
    "bandwidth_up_mbps",
    "monthly_fee_idr",
    "min_coverage_pct",
)
FLAGS = ("excuses_parent", "degraded_counts")
FIELDS = (*TEXTS, *NUMBERS, *FLAGS, *RULE_FIELDS, "fee_per", "excluded_causes", "effective_from", "reason", "version")
SITE_DAY = re.compile(r"\s*[;,\t]\s*|\s+")


def read_contract(form: Form) -> dict[str, Any]:
    """Return the body of a contract; an empty field is null, a number stays a text where it is none."""
    return {
        **{name: form.get(name) or None for name in TEXTS if name in form},
        **{name: read_number(form.get(name, "")) for name in NUMBERS if name in form},
        **{name: name in form for name in FLAGS},
        **({"fee_per": form["fee_per"]} if form.get("fee_per") else {}),
        **({"restitution": read_rule(form)} if KIND in form else {}),
        "excluded_causes": form.all("excluded_causes"),
    }


def read_assignments(form: Form) -> dict[str, Any]:
    """Return the body that puts sites under a contract: a line is a code, maybe with its own first day and fee."""
    rows = [SITE_DAY.split(line.strip()) for line in form.get("sites", "").splitlines() if line.strip()]
    dated = {"from": form.get("from"), "to": form.get("to") or None}
    sites = [
        {
            "site": row[0],
            **dated,
            **({"from": row[1]} if len(row) > 1 else {}),
            **({"monthly_fee_idr": read_number("".join(row[2:]))} if len(row) > 2 else {}),
        }
        for row in rows
    ]
    return {"sites": sites, "reason": form.get("reason") or None}


def read_days(form: Form) -> dict[str, Any]:
    """Return the change of an assignment's days, and of its fee."""
    fee = {"monthly_fee_idr": read_number(form["monthly_fee_idr"])} if "monthly_fee_idr" in form else {}
    return {"from": form.get("from"), "to": form.get("to") or None, **fee, "reason": form.get("reason") or None}

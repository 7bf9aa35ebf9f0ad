"""Every call that the application answers, read from the application itself: its policy, and a valid request."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from app.access.rights import Right
from app.api.app import API
from app.console.page import open_console
from app.core.clock import today, utc_now
from app.core.periods import first_of_next_month
from app.push.routes import by_device_token
from app.vantages.prober_routes import by_prober_token
from app.web.deps import Allowed, open_to_all
from tests.support.monthly_close import MONTH

FRAMEWORK = {"/docs/assets"}  # routes of FastAPI's own
FILES = {"/assets/{name}"}  # of pages
NO_SUCH_PAGE = {"/console/{path:path}"}

CSV = b"village_code,technology,provider,probe,host\n64.02.05.2003,fiber,telkom-wms,icmp,198.51.100.30\n"

# Requests that OpenAPI's examples do not yield, by method and path: keywords of httpx.
REQUESTS: dict[str, dict[str, Any]] = {
    f"POST {API}/sites/import": {"content": CSV, "headers": {"Content-Type": "application/octet-stream"}},
    f"POST {API}/me/password": {"json": {"current_password": "perahu pagi", "new_password": "ulin sore terang 7"}},
    f"GET {API}/sites/{{id}}/agent": {"params": {"kind": "openwrt"}},
    f"POST {API}/sites/{{id}}/agent": {"params": {"kind": "openwrt"}},
    "GET /enrol/{code}": {"params": {"kind": "openwrt"}},
    f"DELETE {API}/maintenance/{{id}}": {"params": {"reason": "salah tanggal"}},
    f"DELETE {API}/reports/{{id}}": {"params": {"reason": "salah kontrak"}},
    f"DELETE {API}/contracts/{{id}}/sites/{{assignment_id}}": {"params": {"reason": "salah titik akses"}},
}

SAMPLE_PERIOD = first_of_next_month(first_of_next_month(today()))  # more than a day ahead
REQUESTS |= {
    f"POST {API}/compliance/samples": {
        "json": {
            "period": f"{SAMPLE_PERIOD:%Y-%m}",
            "public_text": "gempa M 4,1 14:22:07 WIB",
            "public_source": "BMKG, gempa terakhir",
        }
    }
}
REQUESTS |= {
    f"POST {language}/desa/{{code}}/penilaian": {"data": {"benefit": "4", "cost": "2"}} for language in ("", "/en")
}

DECISION = {"decision": "rejected", "text": "Rahasia"}  # made already: the same one again changes nothing
REQUESTS |= {
    f"POST {API}/reports/{{id}}/objections/{{no}}/decision": {"json": DECISION},
    f"POST {API}/contracts/{{id}}/reports": {"json": {"period": f"{MONTH:%Y-%m}"}},
    f"POST {API}/sites/{{id}}/certificates": {"json": {}},
    f"POST {API}/reports/{{id}}/issue": {"headers": {"If-Match": '"2"'}},
    f"GET {API}/reports/{{id}}/document": {"params": {"format": "html"}},  # no process for each role
}

REQUESTS |= {
    f"PUT {API}/sites/{{id}}/telemetry/starlink_account": {
        "json": {"account": "Akun K-7713", "device_id": "ut01000000-00000000-006d6312"}
    }
}

A_MINUTE_AGO = utc_now() - timedelta(minutes=1)
REQUESTS |= {
    f"POST {API}/sites/{{id}}/presence": {
        "json": {"presence": "sometimes", "from": A_MINUTE_AGO.isoformat(), "reason": "PC kantor"}
    }
}

SPEED_TEST = f"{API}/speedtest"
REQUESTS |= {
    f"GET {SPEED_TEST}": {"params": {"grant": "none"}},
    f"POST {SPEED_TEST}": {"params": {"grant": "none"}, "content": b"x"},
}
VISITS = f"{API}/visits"  # by visitors: a visit that nobody here began
REQUESTS |= {
    f"POST {VISITS}": {"json": {"code": "64.03.01.2001-01", "visitor": "0" * 32}},
    f"GET {VISITS}/site": {"params": {"code": "64.03.01.2001"}},
    f"GET {VISITS}/down": {"params": {"visit": "none"}},
    f"POST {VISITS}/up": {"params": {"visit": "none"}, "content": b"x"},
}

# Statuses that the policy alone does not explain: routes for sessions only, and wrong passwords.
EXPECTED_STATUS = {f"POST {API}/session": 401, f"GET {API}/session": 404, f"POST {API}/me/password": 403}
EXPECTED_STATUS |= {"POST /console/sign-in": 401}
# The wall has a cookie of its own; without a token its form forgets the one kept.
EXPECTED_STATUS |= {"POST /layar": 303, "GET /layar/stream": 401}
# Only device tokens are accepted here.
EXPECTED_STATUS |= {f"POST {API}/push": 401, f"POST {API}/push/end": 401}
EXPECTED_STATUS |= {f"GET {API}/stream": 401, f"POST {API}/stream": 401}
# Only probers' tokens.
EXPECTED_STATUS |= {f"GET {API}/prober/assignment": 401}
EXPECTED_STATUS |= dict.fromkeys((f"POST {API}/prober/beat", f"POST {API}/prober/readings"), 401)
# Authorized by a speed test grant, which no caller here has.
EXPECTED_STATUS |= dict.fromkeys((f"GET {SPEED_TEST}", f"POST {SPEED_TEST}", f"POST {SPEED_TEST}/report"), 404)
# Authorized by a visit; it begins with the code of an access point, and the matrix has none of that code.
EXPECTED_STATUS |= dict.fromkeys(
    (f"GET {VISITS}/down", *(f"POST {VISITS}{path}" for path in ("", "/up", "/results"))), 422
)
# The public survey's answer is redirected to its village when it is asked for.
EXPECTED_STATUS |= dict.fromkeys((f"GET {language}/desa/{{code}}/penilaian" for language in ("", "/en")), 303)
# Without a code: it is asked for, and a form without one is refused; with one, its page is redirected to.
EXPECTED_STATUS |= {"POST /enrol": 422, "POST /enrol/{page}": 410}
EXPECTED_STATUS |= dict.fromkeys(("GET /enrol/status", "GET /enrol/card", "GET /enrol/{code}/{page}"), 303)


# What only providers do, of those who may read.
PROVIDERS_OWN = {f"POST {API}/reports/{{id}}/objections", f"POST {API}/reports/{{id}}/no-objections"}


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    right: Right | None  # None: open to all
    request: Mapping[str, Any] = field(hash=False, default_factory=dict)  # keywords of httpx

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def resource(self) -> str | None:
        """The path below /api/v1 up to its first parameter."""
        return self.path.removeprefix(API).partition("}")[0] + "}" if "{" in self.path else None


class NoPolicy(AssertionError):
    pass


def read_calls(app: FastAPI) -> list[Call]:
    """Return the calls of all routes but the console's, which asks the API, and that by the API's own policies.

    Raises NoPolicy for a route without exactly one policy.
    """
    document = app.openapi()
    return [
        Call(method, str(route.path), _policy(route), _request(document, method, str(route.path)))
        for route in iter_route_contexts(app.routes)
        if route.path not in FRAMEWORK | FILES | NO_SUCH_PAGE and not asks_the_api(route)
        for method in sorted((route.methods or {"any"}) - {"HEAD"})
    ]


def asks_the_api(route: Any) -> bool:
    """Return whether the route begins with a session of the console."""
    return hasattr(route, "dependant") and any(below.call is open_console for below in route.dependant.dependencies)


def _policy(route: Any) -> Right | None:
    policies = set(_policies(route.dependant)) if hasattr(route, "dependant") else set()
    if len(policies) != 1:
        raise NoPolicy(
            f"{route.methods} {route.path} has {len(policies) or 'no'} policies: take one caller of app/web/deps.py "
            "(Reader, Writer, Provincial, Admin), or Depends(open_to_all)"
        )
    return policies.pop()


def _policies(dependant: Dependant) -> Iterator[Right | None]:
    if isinstance(dependant.call, Allowed):
        yield dependant.call.right
    elif dependant.call in (open_to_all, by_device_token, by_prober_token):
        yield None
    for below in dependant.dependencies:
        yield from _policies(below)


def _request(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    if override := REQUESTS.get(f"{method} {path}"):
        return override
    operation = document["paths"].get(path, {}).get(method.lower(), {})
    request: dict[str, Any] = {}
    if required := [p for p in operation.get("parameters", []) if p["in"] == "query" and p.get("required")]:
        request["params"] = {parameter["name"]: _value(document, parameter["schema"]) for parameter in required}
    if body := operation.get("requestBody", {}).get("content", {}).get("application/json"):
        request["json"] = _value(document, body["schema"])
    return request


def _value(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The first example, or the first choice."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        schema = document["components"]["schemas"][name]
    return next(iter(schema.get("examples") or schema.get("enum") or [None]))

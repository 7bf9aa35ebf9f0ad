"""Serialize a site as its caller may see it."""

from collections.abc import Mapping
from typing import Any

from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Fault
from app.registry import drafts, site_warnings, store
from app.registry.models import Site, SiteStatus
from app.registry.schemas import SiteOut


def serialize_site(
    site: Site, status: SiteStatus, region_names: Mapping[str, str], *, caller: Caller
) -> dict[str, Any]:
    """Return the fields of a SiteOut; contact persons are null for callers who may not see them."""
    out = {name: getattr(site, name, None) for name in SiteOut.model_fields}
    current = store.current_state(site, status, utc_now())
    out |= {
        "province": region_names.get(site.village_code[:2]),
        "district": region_names.get(site.village_code[:5]),
        "subdistrict": region_names.get(site.village_code[:8]),
        "village": region_names.get(site.village_code),
        "provider": site.provider.slug,
        "state": current.state,
        "since": current.since,
        "last_seen_at": status.last_ok_at,
        "commissioned_at": status.commissioned_at,
        "warnings": list(map(_warning, site_warnings.find(drafts.current_values(site)))),
    }
    if not caller.sees_contacts:
        out |= {"contact_name": None, "contact_phone": None}
    return out


def _warning(fault: Fault) -> str:
    return f"{fault.message}; {fault.suggestion}".format_map(fault.values)

"""Checks of the contracts of sites, for `app.registry.checks`."""

from app.core.clock import WITA_SQL
from app.core.errors import Fault

TODAY = f"(now() AT TIME ZONE {WITA_SQL})::date"

CHECKS = {
    "no_contract": (
        f"""
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others, jsonb_build_object() AS detail
        FROM site
        WHERE site.kind = 'access_point' AND site.lifecycle IN ('active', 'suspended') AND NOT EXISTS (
            SELECT FROM site_contract a JOIN contract k ON k.id = a.contract_id
            WHERE a.site_id = site.id AND a.withdrawn_at IS NULL
                AND daterange(a.started_on, a.ended_on) * daterange(k.valid_from, k.valid_to) @> {TODAY}
        )
        """,
        Fault(
            "contract_id",
            "no_contract",
            "No contract is in force: no service level counts",
            "Set contract_id; the province registers contracts",
        ),
    ),
    "present_at_times": (
        f"""
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others,
            jsonb_build_object('number', k.number) AS detail
        FROM site JOIN site_contract a ON a.site_id = site.id AND a.withdrawn_at IS NULL
            JOIN contract k ON k.id = a.contract_id
        WHERE site.lifecycle = 'active' AND site.presence = 'sometimes'
            AND daterange(a.started_on, a.ended_on) * daterange(k.valid_from, k.valid_to) @> {TODAY}
        """,
        Fault(
            "presence",
            "present_at_times",
            "Under contract {number}, and declared present only at times: its silence never counts as an outage",
            "Install a device that is always on, and set presence=always",
        ),
    ),
    "other_providers_contract": (
        f"""
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others, jsonb_build_object(
            'number', k.number, 'with', provider.slug, 'contract', k.id, 'assignment', a.id
        ) AS detail
        FROM site_contract a JOIN contract k ON k.id = a.contract_id JOIN provider ON provider.id = k.provider_id
            JOIN site ON site.id = a.site_id AND site.provider_id <> k.provider_id
        WHERE a.withdrawn_at IS NULL AND site.lifecycle <> 'retired'
            AND daterange(a.started_on, a.ended_on) * daterange(k.valid_from, k.valid_to) && daterange({TODAY}, NULL)
        """,
        Fault(
            "contract_id",
            "other_providers_contract",
            "Under contract {number}, which is with {with}: the site has another provider",
            "End it: PATCH /api/v1/contracts/{contract}/sites/{assignment}; or correct the site's provider",
        ),
    ),
}

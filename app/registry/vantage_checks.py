"""Checks of from where sites are looked at, for `app.registry.checks`, from a table of a room above (vantage_host)."""

from app.core.errors import Fault

# Of the provider at which a vantage stands today, its sites that it looks at.
HOSTED = """
    SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others,
        jsonb_build_object('provider', p.name, 'vantage', first.label, 'vantages', cardinality(site.vantages)) AS detail
    FROM site JOIN provider p ON p.id = site.provider_id JOIN vantage first ON first.number = site.vantages[1],
    LATERAL (
        SELECT count(*) AS vantages, bool_or(number = site.vantages[1]) AS primary_is
        FROM (
            SELECT DISTINCT ON (vantage) vantage AS number, provider_id FROM vantage_host
            WHERE vantage = ANY(site.vantages) ORDER BY vantage, started_at DESC
        ) AS today WHERE today.provider_id = site.provider_id
    ) hosted
    WHERE site.lifecycle = 'active' AND site.vantages <> '{0}' AND hosted.vantages
"""

CHECKS = {
    "only_hosted_vantages": (
        f"{HOSTED} = cardinality(site.vantages)",
        Fault(
            "vantages",
            "only_hosted_vantages",
            "It is looked at from the network of its own provider, {provider}, alone: nobody else says if it answers",
            "Add a vantage that stands elsewhere, like 0, the centre",
        ),
    ),
    "hosted_primary": (
        f"{HOSTED} < cardinality(site.vantages) AND hosted.primary_is",
        Fault(
            "vantages",
            "hosted_primary",
            "Its primary vantage, {vantage}, stands at its own provider, {provider}: its latency is read there",
            "Name another vantage first",
        ),
    ),
}

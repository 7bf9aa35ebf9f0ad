"""What may be wrong in the registry: each check is one SQL query, with a message and a suggestion for its findings."""

from dataclasses import dataclass
from enum import StrEnum

from app.core.errors import Fault
from app.registry import agent_checks, contract_checks, telemetry_checks, vantage_checks, visitor_checks


class Check(StrEnum):
    """What may be wrong. Of sites: `duplicate_host`, `duplicate_coordinates`, `far_from_village`, `never_seen` (in a
    week), `no_contract`, `other_providers_contract`, `present_at_times` (under a contract), `unpingable` (by its
    technology), `former_village` (its code was replaced). Of villages: `village_without_site`. Of devices:
    `never_heard`, `two_agents` (with one token), `two_networks` (in turn), `network_changed`, `unheard_boot` (claims a
    time in which it was silent), `device_clock` (wrong), `readings_refused`, `readings_dropped` (for lack of room),
    `not_measuring` (its ping cannot run), `only_streaming` (it holds its stream and reports nothing).
    Of what others say: `telemetry_disagrees` (with what was measured), `telemetry_unread` (for a day).
    Of visitors: `forged_visits` (results that cannot be true). Of vantages: `only_hosted_vantages` (all stand at the
    site's own provider), `hosted_primary` (its first one does).
    """

    DUPLICATE_HOST = "duplicate_host"
    DUPLICATE_COORDINATES = "duplicate_coordinates"
    FAR_FROM_VILLAGE = "far_from_village"
    NEVER_SEEN = "never_seen"
    NO_CONTRACT = "no_contract"
    OTHER_PROVIDERS_CONTRACT = "other_providers_contract"
    PRESENT_AT_TIMES = "present_at_times"
    UNPINGABLE = "unpingable"
    FORMER_VILLAGE = "former_village"
    VILLAGE_WITHOUT_SITE = "village_without_site"
    NEVER_HEARD = "never_heard"
    TWO_AGENTS = "two_agents"
    TWO_NETWORKS = "two_networks"
    NETWORK_CHANGED = "network_changed"
    UNHEARD_BOOT = "unheard_boot"
    DEVICE_CLOCK = "device_clock"
    READINGS_REFUSED = "readings_refused"
    READINGS_DROPPED = "readings_dropped"
    NOT_MEASURING = "not_measuring"
    ONLY_STREAMING = "only_streaming"
    TELEMETRY_DISAGREES = "telemetry_disagrees"
    TELEMETRY_UNREAD = "telemetry_unread"
    FORGED_VISITS = "forged_visits"
    ONLY_HOSTED_VANTAGES = "only_hosted_vantages"
    HOSTED_PRIMARY = "hosted_primary"


class Severity(StrEnum):
    """`warning`: correct it; `hint`: it may be correct as it is."""

    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class CheckDefinition:
    """`query` returns site_id, village (a region code, if site_id is null), others (ids of up to 20 further sites
    concerned) and detail (values of the message)."""

    query: str
    fault: Fault  # message and suggestion as templates
    severity: Severity = Severity.WARNING


FAR_KM = 25
HINTS = agent_checks.HINTS | telemetry_checks.HINTS
NEVER_SEEN_DAYS = 7

CHECKS = {
    Check.DUPLICATE_HOST: CheckDefinition(
        """
        SELECT site.id AS site_id, NULL::text AS village, same.ids AS others,
            jsonb_build_object('host', site.host, 'sites', same.sites) AS detail
        FROM site JOIN (
            SELECT host, count(*) AS sites, (array_agg(id ORDER BY id))[1:20] AS ids
            FROM site WHERE lifecycle <> 'retired' GROUP BY host HAVING count(*) > 1
        ) AS same ON same.host = site.host
        WHERE site.lifecycle <> 'retired'
        """,
        Fault(
            "host",
            "duplicate_host",
            "{host} is also the host of other sites: {also}",
            "Check which site really uses it, and correct or retire the others",
        ),
    ),
    # A backup link beside its primary, or a node beside an access point of the village, may share a position.
    Check.DUPLICATE_COORDINATES: CheckDefinition(
        """
        SELECT site.id AS site_id, NULL::text AS village, same.ids AS others,
            jsonb_build_object('latitude', site.latitude, 'longitude', site.longitude, 'sites', same.sites) AS detail
        FROM site JOIN (
            SELECT latitude, longitude, kind, count(*) AS sites, (array_agg(id ORDER BY id))[1:20] AS ids
            FROM site WHERE lifecycle <> 'retired' GROUP BY latitude, longitude, kind
            HAVING count(*) > count(DISTINCT link_role) OR count(DISTINCT village_code) > 1
        ) AS same ON (same.latitude, same.longitude, same.kind) = (site.latitude, site.longitude, site.kind)
        WHERE site.lifecycle <> 'retired'
        """,
        Fault(
            "latitude",
            "duplicate_coordinates",
            "Other sites have the same position: {also}",
            "Measure the position at each site; leave it empty where it is unknown",
        ),
        Severity.HINT,
    ),
    Check.FAR_FROM_VILLAGE: CheckDefinition(
        f"""
        SELECT site_id, NULL::text AS village, NULL::int[] AS others,
            jsonb_build_object('distance_km', round(km::numeric, 1)) AS detail
        FROM (
            SELECT site.id AS site_id, 2 * 6371 * asin(sqrt(
                sin(radians(site.latitude - region.latitude) / 2) ^ 2
                + cos(radians(region.latitude)) * cos(radians(site.latitude))
                * sin(radians(site.longitude - region.longitude) / 2) ^ 2
            )) AS km
            FROM site JOIN region ON region.code = site.village_code
            WHERE site.lifecycle <> 'retired' AND site.kind = 'access_point'
        ) AS distances
        WHERE km > {FAR_KM}
        """,
        Fault(
            "latitude",
            "far_from_village",
            "The position is {distance_km} km from the centre of {village}",
            "Check the position and the village code",
        ),
        Severity.HINT,
    ),
    Check.NEVER_SEEN: CheckDefinition(
        f"""
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others,
            jsonb_build_object('addressed_at', site.addressed_at) AS detail
        FROM site JOIN site_status ON site_status.site_id = site.id
        WHERE site.lifecycle = 'active' AND site.probe <> 'push' AND site_status.commissioned_at IS NULL
            AND site.addressed_at < now() - interval '{NEVER_SEEN_DAYS} days'
            AND NOT EXISTS (
                SELECT FROM site_configuration
                WHERE site_configuration.site_id = site.id AND site_configuration.lifecycle <> 'active'
                    AND coalesce(ended_at, now()) > now() - interval '{NEVER_SEEN_DAYS} days'
            )
        """,
        Fault(
            "host",
            "never_seen",
            "Active for over {days} days, and has never answered",
            "Check the host; set probe=push behind carrier NAT, or lifecycle=planned if it is not installed yet",
        ),
    ),
    Check.UNPINGABLE: CheckDefinition(
        """
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others,
            jsonb_build_object('technology', site.technology, 'probe', site.probe) AS detail
        FROM site
        WHERE site.technology IN ('leo', 'cellular') AND site.probe = 'icmp' AND site.lifecycle <> 'retired'
        """,
        Fault(
            "probe",
            "unpingable",
            "{technology} sites are usually behind carrier NAT: a ping does not reach them",
            "Set probe=push: the site's agent reports by itself",
        ),
    ),
    Check.FORMER_VILLAGE: CheckDefinition(
        """
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others,
            jsonb_build_object('given', site.village_code, 'now', region_alias.region_code) AS detail
        FROM site JOIN region ON region.code = site.village_code
            LEFT JOIN region_alias ON region_alias.code = site.village_code
        WHERE region.valid_to <= current_date AND site.lifecycle <> 'retired'
        """,
        Fault(
            "village_code",
            "former_village",
            "{given} is no longer a village code",
            "Set village_code to the village that replaced it; the site's own code stays",
        ),
    ),
    Check.VILLAGE_WITHOUT_SITE: CheckDefinition(
        """
        SELECT NULL::int AS site_id, region.code AS village, NULL::int[] AS others, jsonb_build_object() AS detail
        FROM region
        WHERE region.level = 'desa_kelurahan' AND coalesce(region.valid_to > current_date, true)
            AND NOT EXISTS (
                SELECT FROM site
                WHERE site.village_code = region.code AND site.kind = 'access_point' AND site.lifecycle <> 'retired'
            )
        """,
        Fault(
            "village_code",
            "village_without_site",
            "{village} has no access point",
            "Register one, even if it is only planned",
        ),
        Severity.HINT,
    ),
} | {
    Check(name): CheckDefinition(query, fault, Severity.HINT if name in HINTS else Severity.WARNING)
    for name, (query, fault) in (
        contract_checks.CHECKS
        | agent_checks.CHECKS
        | telemetry_checks.CHECKS
        | visitor_checks.CHECKS
        | vantage_checks.CHECKS
    ).items()
}

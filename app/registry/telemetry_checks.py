"""Checks of what terminals and providers say, for `app.registry.checks`: read from the tables of `app.telemetry`."""

from app.core.errors import Fault

RECENT_DAYS = 7

HINTS = frozenset({"telemetry_unread"})

CHECKS = {
    "telemetry_disagrees": (
        f"""
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others, jsonb_build_object(
            'times', count(*), 'days', {RECENT_DAYS}, 'witness', min(d.witness), 'last_at', max(d.ended_at),
            'minutes', ceil(sum(extract(epoch FROM d.ended_at - d.started_at)) / 60)
        ) AS detail
        FROM telemetry_disagreement d JOIN site ON site.id = d.site_id
        WHERE d.ended_at > now() - interval '{RECENT_DAYS} days' AND site.lifecycle <> 'retired'
        GROUP BY site.id
        """,
        Fault(
            "telemetry",
            "telemetry_disagrees",
            "Its provider or terminal says otherwise than was measured: {times} times in {days} days, {minutes} min",
            "Compare both on the site's page, and ask the provider; what was measured counts",
        ),
    ),
    "telemetry_unread": (
        """
        SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others, jsonb_build_object(
            'kind', s.kind, 'problem', coalesce(s.problem, a.problem, 'no_rows'), 'said_at', s.said_at
        ) AS detail
        FROM telemetry_source s JOIN site ON site.id = s.site_id LEFT JOIN telemetry_account a ON a.id = s.account_id
        WHERE site.lifecycle = 'active' AND s.created_at < now() - interval '1 day'
            AND coalesce(s.said_at, s.created_at) < now() - interval '1 day'
        """,
        Fault(
            "telemetry",
            "telemetry_unread",
            "Its {kind} has said nothing for over a day: {problem}",
            "Correct the source, or remove it: /api/v1/sites/{id}/telemetry",
        ),
    ),
}

"""Checks of what visitors measured, for `app.registry.checks`. They read a table of a room above (app.visitors)."""

from app.core.errors import Fault

RECENT_DAYS = 7
LEAST_FLAWED, LEAST_SHARE = 10, 0.1  # below either, a page with a wrong clock explains it

CHECKS = {
    "forged_visits": (
        f"""
        SELECT f.site_id, NULL::text AS village, NULL::int[] AS others, jsonb_build_object(
            'flawed', f.flawed, 'results', w.results, 'visitors', f.visitors, 'last_at', f.last_at
        ) AS detail
        FROM (
            SELECT site_id, count(*) AS flawed, count(DISTINCT visitor) AS visitors, max(received_at) AS last_at
            FROM visit_result WHERE flaw IS NOT NULL AND at > now() - interval '{RECENT_DAYS} days'
            GROUP BY site_id HAVING count(*) >= {LEAST_FLAWED}
        ) f JOIN site ON site.id = f.site_id, LATERAL (
            SELECT count(*) AS results FROM visit_result
            WHERE site_id = f.site_id AND at > now() - interval '{RECENT_DAYS} days'
        ) w
        WHERE site.lifecycle = 'active' AND f.flawed >= {LEAST_SHARE} * w.results
        """,
        Fault(
            "code",
            "forged_visits",
            "{flawed} of {results} results of visitors in the last 7 days cannot be true, from {visitors} browsers",
            "They are in no figure and change no state; ask the village who measures, and look at the others with care",
        ),
    ),
}

"""What is probably wrong with the agents of sites that report themselves, as `checks` has its questions and answers.

What is known of devices is kept further up (app.field); it is read here, as facts, and never written.
"""

from app.core.errors import Fault

RECENT_DAYS = 7  # as far back as anything is told of an agent
CLOCK_OFF_S = 60

_PUSHED = """
    FROM site JOIN device ON device.site_id = site.id
    WHERE site.lifecycle = 'active' AND site.probe = 'push'
"""
_NOBODY_ELSE = "SELECT site.id AS site_id, NULL::text AS place, NULL::int[] AS others"

QUESTIONS = {
    "never_heard": f"""
        {_NOBODY_ELSE}, jsonb_build_object('has_token', EXISTS (
            SELECT FROM device_token WHERE device_token.site_id = site.id AND revoked_at IS NULL
        )) AS detail
        FROM site
        WHERE site.lifecycle = 'active' AND site.probe = 'push' AND site.addressed_at < now() - interval '1 day'
            AND NOT EXISTS (SELECT FROM device WHERE device.site_id = site.id)
    """,
    "two_agents": f"""
        {_NOBODY_ELSE}, jsonb_build_object('seen_at', device.two_agents_at) AS detail {_PUSHED}
            AND device.two_agents_at > now() - interval '{RECENT_DAYS} days'
    """,
    "device_clock": f"""
        {_NOBODY_ELSE}, jsonb_build_object('off_s', round(abs(device.clock_offset_s))) AS detail {_PUSHED}
            AND abs(device.clock_offset_s) > {CLOCK_OFF_S}
            AND device.heard_at > now() - interval '{RECENT_DAYS} days'
    """,
    "readings_refused": f"""
        {_NOBODY_ELSE}, jsonb_build_object(
            'refused', device.rejected, 'last_code', device.last_rejection, 'last_at', device.last_rejected_at
        ) AS detail {_PUSHED}
            AND device.last_rejected_at > now() - interval '1 day'
    """,
    "readings_dropped": f"""
        {_NOBODY_ELSE}, jsonb_build_object('dropped', device.dropped) AS detail {_PUSHED}
            AND device.dropped > 0 AND device.heard_at > now() - interval '{RECENT_DAYS} days'
    """,
    "not_measuring": f"""
        {_NOBODY_ELSE}, jsonb_build_object('heard_at', device.heard_at) AS detail {_PUSHED}
            AND NOT device.measures AND device.heard_at > now() - interval '1 day'
    """,
}

TOLD = {
    "never_heard": Fault(
        "probe",
        "never_heard",
        "Active for over a day, and its agent has never reported",
        "Set the agent up at the site: POST /api/v1/sites/{id}/enrolment gives a code; planned if it is not installed",
    ),
    "two_agents": Fault(
        "probe",
        "two_agents",
        "Two agents report for this site with the same token, one of them from elsewhere",
        "Switch one of them off; where you do not know it, make a new token: POST /api/v1/sites/{id}/agent",
    ),
    "device_clock": Fault(
        "probe",
        "device_clock",
        "The device's clock is off by {off_s} s",
        "Set its NTP server: readings are put right, but certificates may be refused",
    ),
    "readings_refused": Fault(
        "probe",
        "readings_refused",
        "{refused} readings of its agent were refused, the last one as {last_code}",
        "Set the agent up anew, or correct its clock",
    ),
    "readings_dropped": Fault(
        "probe",
        "readings_dropped",
        "The agent had no room for {dropped} readings since it started",
        "It was offline for longer than it can keep: give it more room, or a device with more memory",
    ),
    "not_measuring": Fault(
        "probe",
        "not_measuring",
        "The agent reports, and cannot ping: nothing says how the link is beyond it",
        "Install ping on the device, or let the agent run it",
    ),
}

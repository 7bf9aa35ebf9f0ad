"""Checks of the agents of push sites, for `app.registry.checks`.

They read the tables of rooms above (app.push, app.agents) and never write them.
"""

from app.core.errors import Fault

RECENT_DAYS = 7  # older facts about an agent are not reported
CLOCK_OFF_S = 60
SILENT_HOURS = 3  # more than the longest interval of pushes

HINTS = frozenset({"device_clock", "network_changed"})

_FROM_DEVICES = """
    FROM site JOIN device ON device.site_id = site.id
    WHERE site.lifecycle = 'active' AND site.probe = 'push'
"""
_SITE = "SELECT site.id AS site_id, NULL::text AS village, NULL::int[] AS others"

CHECKS = {
    "never_heard": (
        f"""
        {_SITE}, jsonb_build_object('has_token', EXISTS (
            SELECT FROM device_token WHERE device_token.site_id = site.id AND revoked_at IS NULL
        )) AS detail
        FROM site
        WHERE site.lifecycle = 'active' AND site.probe = 'push' AND site.addressed_at < now() - interval '1 day'
            AND NOT EXISTS (SELECT FROM device WHERE device.site_id = site.id)
        """,
        Fault(
            "probe",
            "never_heard",
            "Active for over a day, and its agent has never reported",
            "Install the agent with a code from POST /api/v1/sites/{id}/enrolment, or set lifecycle=planned until then",
        ),
    ),
    "two_agents": (
        f"""
        {_SITE}, jsonb_build_object('seen_at', device.two_agents_at) AS detail {_FROM_DEVICES}
            AND device.two_agents_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "two_agents",
            "Two agents report for this site with the same token, one of them from elsewhere",
            "Switch one of them off; if you do not know it, create a new token: POST /api/v1/sites/{id}/agent",
        ),
    ),
    "two_networks": (
        f"""
        {_SITE}, jsonb_build_object('seen_at', device.two_networks_at) AS detail {_FROM_DEVICES}
            AND device.two_networks_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "two_networks",
            "Its pushes alternated between two networks within an hour: two devices, or a device with two links",
            "Compare their addresses (GET /api/v1/sites/{id}/device); if one is unknown, create a new token: "
            "POST /api/v1/sites/{id}/agent",
        ),
    ),
    "network_changed": (
        f"""
        {_SITE}, jsonb_build_object('seen_at', device.network_changed_at) AS detail {_FROM_DEVICES}
            AND device.network_changed_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "network_changed",
            "Its pushes come from a network that none had come from before",
            "Ask the provider whether the site has another link or another address range now",
        ),
    ),
    "unheard_boot": (
        f"""
        {_SITE}, jsonb_build_object('seen_at', device.unheard_boot_at) AS detail {_FROM_DEVICES}
            AND device.unheard_boot_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "unheard_boot",
            "A start of its agent that had never been heard of claimed a time in which the site was not heard",
            "Look at its incidents: what it claims is not proven, and counts as unknown",
        ),
    ),
    "device_clock": (
        f"""
        {_SITE}, jsonb_build_object('off_s', round(abs(device.clock_offset_s))) AS detail {_FROM_DEVICES}
            AND abs(device.clock_offset_s) > {CLOCK_OFF_S}
            AND device.heard_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "device_clock",
            "The device's clock is off by {off_s} s",
            "Set its NTP server: reading times are corrected, but certificates may be rejected",
        ),
    ),
    "readings_refused": (
        f"""
        {_SITE}, jsonb_build_object(
            'refused', device.rejected, 'last_code', device.last_rejection, 'last_at', device.last_rejected_at
        ) AS detail {_FROM_DEVICES}
            AND device.last_rejected_at > now() - interval '1 day'
        """,
        Fault(
            "probe",
            "readings_refused",
            "{refused} readings of its agent were rejected, the last one as {last_code}",
            "Install the agent again, or correct its clock",
        ),
    ),
    "readings_dropped": (
        f"""
        {_SITE}, jsonb_build_object('dropped', device.dropped) AS detail {_FROM_DEVICES}
            AND device.dropped > 0 AND device.heard_at > now() - interval '{RECENT_DAYS} days'
        """,
        Fault(
            "probe",
            "readings_dropped",
            "The agent dropped {dropped} readings since it started: its buffer was full",
            "It was offline for longer than its buffer lasts: enlarge the buffer, or use a device with more memory",
        ),
    ),
    "only_streaming": (
        f"""
        {_SITE}, jsonb_build_object('hours', floor(extract(epoch FROM now() - device.heard_at) / 3600)::int) AS detail
        {_FROM_DEVICES} AND device.heard_at < now() - interval '{SILENT_HOURS} hours' AND (
            SELECT s.ended_at FROM stream_span s WHERE s.site_id = site.id ORDER BY s.started_at DESC LIMIT 1
        ) > now() - interval '1 hour'
        """,
        Fault(
            "probe",
            "only_streaming",
            "The device holds its stream, and has reported nothing for {hours} hours",
            "The stream alone says that the link is up: have the agent repaired, and ask who holds its token",
        ),
    ),
    "not_measuring": (
        f"""
        {_SITE}, jsonb_build_object('heard_at', device.heard_at) AS detail {_FROM_DEVICES}
            AND NOT device.measures AND device.heard_at > now() - interval '1 day'
        """,
        Fault(
            "probe",
            "not_measuring",
            "The agent reports but cannot ping: the link beyond it is not measured",
            "Install ping on the device, or allow the agent to run it",
        ),
    ),
}

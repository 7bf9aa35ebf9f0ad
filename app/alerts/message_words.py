"""What templates of notifications may be for, and the words that they may hold: an unknown one stops the start."""

from app.alerts.models import AnnouncementKind

# By situation. The first of them that a notification is, it is worded as: `texts.situation_of`.
MESSAGES = (
    *("test", "weekly_test", "daily_digest", "weekly_digest", "held", "flapping", "flapping_ended"),
    *("escalated", "reminder", "maintenance_overrun", "recurred", "onset", "update", "recovery", "withdrawn"),
    *("degraded", "never_seen", "coverage_lost", "budget_spent", "contract_at_risk", "service_unwell", "blind"),
    *("conditions", "conditions_ended", "blind_ended"),
)
CONDITIONS = {
    AnnouncementKind.DEGRADED,
    AnnouncementKind.NEVER_SEEN,
    AnnouncementKind.COVERAGE_LOST,
    AnnouncementKind.BUDGET_SPENT,
    AnnouncementKind.CONTRACT_AT_RISK,
    AnnouncementKind.SERVICE_UNWELL,
}
SERVICES = ("blind", "worker", "channel_failing", "channel_silent", "other")  # what of the service is unwell
SECTIONS = ("down", "recovered", "came_and_went", "withdrawn")
ACTORS = ("provider", "power", "site", "bill", "service", "unknown", "told_provider")
HOLDS = ("quiet_hours", "muted", "maintenance", "power_hours", "blind", "other")
SOURCES = ("central", "agent", "silence")
# Texts that a message is put together of.
PARTS = (
    *("simulated", "where", "place", "site_details", "never_answered", "more", "handled_by"),
    *("escalated_after", "escalated_beyond"),
    *(f"heading_{section}" for section in SECTIONS),
    *(f"site_{section}" for section in SECTIONS),
    *(f"evidence_{source}" for source in SOURCES),
    *(f"act_{actor}" for actor in ACTORS),
    *(f"held_{hold}" for hold in HOLDS),
    *(f"condition_{kind}" for kind in sorted(CONDITIONS - {AnnouncementKind.SERVICE_UNWELL})),
    *(f"service_{service}" for service in SERVICES),
    "condition_ended",
)

NUMBERS = ("count", *SECTIONS, "incidents", "conditions_count")  # always known
OF_SITE = (
    *("village", "subdistrict", "district", "site", "code", "technology", "provider", "service_no"),
    *("started", "last_answer", "ended", "period", "duration", "evidence"),
)
# Of a condition, by the names of its facts: those in `_at` are moments, in `_on` days, in `_pct` percentages, in `_s`
# durations.
FACTS = (
    *("hours", "minutes", "loss_pct", "rtt_ms", "reason", "last_seen_at", "spent_mb", "budget_mb", "month", "contract"),
    *("target_pct", "best_pct", "worst_pct", "used_pct", "down_s", "allowed_s", "channel", "problem"),
)
FIGURES = (  # of a digest
    *("sites", "normal", "degraded", "unknown", "opened", "resolved", "unacknowledged"),
    *("uptime_pct", "coverage_pct", "worst_pct", "best_pct", "skipped_on"),
)
OF_MESSAGE = (
    *("office", "at", "since", "where", "place", "shared_by", "cut_off", "cause", "ticket_no", "incident", "act"),
    *("handled_by", "handler", "held", "escalated", "escalated_from", "site_details", "condition", "conditions"),
    *("more", "name", "node"),
    *(f"{section}_list" for section in SECTIONS),
    *("most_outages", "link", "acknowledge_link"),
)
WORDS = tuple(dict.fromkeys((*NUMBERS, *OF_SITE, *FACTS, *FIGURES, *OF_MESSAGE)))

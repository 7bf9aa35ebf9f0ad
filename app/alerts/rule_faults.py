"""What may be wrong with a rule: between its fields, and with what it names. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from app.access.scope import PROVINCE, covers
from app.alerts.models import Channel
from app.alerts.offices import is_office
from app.core.errors import Conflict, Fault

MAX_RULES = 100  # of an office
MAX_PAIRS = 500  # of a rule and a channel, of an office: each outage is matched with all of them


def check_quiet_hours(values: Mapping[str, Any]) -> Iterator[Fault]:
    begins, ends = values["quiet_from"], values["quiet_to"]
    if (begins is None) != (ends is None):
        missing = "quiet_from" if begins is None else "quiet_to"
        yield Fault(missing, "missing", "quiet_from and quiet_to go together", "Give both, or neither")
    elif begins is not None and begins == ends:
        yield Fault(
            "quiet_to",
            "whole_day",
            "Quiet hours that end when they begin would be the whole day",
            "Mute the rule instead: muted_until",
        )


def check_region(region: str, office: str) -> Iterator[Fault]:
    if not covers(office, region):
        yield Fault(
            "region",
            "beyond_office",
            "Region {given} lies outside of office {office}",
            "Give {office}, or a region within it",
            values={"given": region, "office": office},
        )


def check_escalation(to: str, office: str) -> Iterator[Fault]:
    """Yield a fault unless `to` is an office above."""
    values = {"given": to[:60], "office": office}
    if office == PROVINCE:
        yield Fault("escalate", "nobody_above", "No office is above the province's", "Set escalate to null")
    elif not (is_office(to) and covers(to, office) and to != office):
        yield Fault(
            "escalate.to",
            "not_above",
            "Office {given} is not above office {office}",
            "Give 64, the province",
            values=values,
        )


def check_channels(channel_ids: Iterable[int], of_office: Collection[Channel]) -> Iterator[Fault]:
    known = {channel.id for channel in of_office}
    for channel_id in channel_ids:
        if channel_id not in known:
            yield Fault(
                "channels",
                "unknown_channel",
                "Channel {given} is no channel of this office",
                "Choose some of: GET /api/v1/channels",
                values={"given": channel_id},
            )


def no_channel() -> Fault:
    return Fault(
        "channels",
        "no_channel",
        "The office has no channel yet that this rule could tell through",
        "Create one first: POST /api/v1/channels",
    )


def duplicate_name(rule_id: int) -> Conflict:
    fault = Fault(
        "name",
        "duplicate_rule",
        "Rule {given} of this office has that name",
        "Change that one: PATCH /api/v1/rules/{given}",
        values={"given": rule_id},
    )
    return Conflict(faults=[fault])


def too_many() -> Conflict:
    fault = Fault(
        "office",
        "too_many_rules",
        "An office has at most {most} rules",
        "Delete one that is not needed",
        values={"most": MAX_RULES},
    )
    return Conflict(faults=[fault])


def too_many_pairs(pairs: int) -> Conflict:
    fault = Fault(
        "channels",
        "too_many_channels_of_rules",
        "The rules of an office name at most {most} channels in all, counted once a rule; these would be {given}",
        "Name fewer channels, or delete rules that are not needed",
        values={"given": pairs, "most": MAX_PAIRS},
    )
    return Conflict(faults=[fault])

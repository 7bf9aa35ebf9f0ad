"""Who has to act on an outage, by its cause. Pure."""

from enum import StrEnum

from app.registry.models import Cause


class Actor(StrEnum):
    """Who has to act: `provider`; `power`: PLN, or whoever keeps the power; `village`: with the office; `payer`: the
    office, which pays bill and quota; `planned`: nobody, or who planned the work; `service`: who runs this service;
    `office`: it has to find out the cause.
    """

    PROVIDER = "provider"
    POWER = "power"
    VILLAGE = "village"
    PAYER = "payer"
    PLANNED = "planned"
    SERVICE = "service"
    OFFICE = "office"


BY_CAUSE = {
    Cause.LINK: Actor.PROVIDER,
    Cause.PROVIDER: Actor.PROVIDER,
    Cause.WEATHER: Actor.PROVIDER,
    Cause.PLANNED: Actor.PLANNED,
    Cause.POWER: Actor.POWER,
    Cause.DEVICE: Actor.VILLAGE,
    Cause.UNPLUGGED: Actor.VILLAGE,
    Cause.VANDALISM: Actor.VILLAGE,
    Cause.BILLING: Actor.PAYER,
    Cause.QUOTA: Actor.PAYER,
    Cause.MONITORING: Actor.SERVICE,
}


def must_act(cause: Cause | None, cause_hint: Cause | None) -> Actor:
    """Return who has to act: by the cause that a person set, else by what the evidence hints at, else the office."""
    known = cause_hint if cause in {None, Cause.UNCLASSIFIED} else cause
    return Actor.OFFICE if known is None else BY_CAUSE.get(known, Actor.OFFICE)

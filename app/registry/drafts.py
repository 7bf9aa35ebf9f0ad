"""A site as it will be after a write: a new one, or a registered one with its changes."""

from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from pydantic import ValidationError

from app.core.errors import Fault
from app.core.validation import faults_from
from app.registry.models import Lifecycle, LinkRole, Presence, Provider, Site, SiteKind
from app.registry.schemas import EditableFields, SiteIn, SitePatch
from app.registry.vantage_lists import CENTRAL_VANTAGE
from app.registry.vocabulary import find_choice
from probes.contract import ProbeKind

FIELDS = tuple(EditableFields.model_fields)
DEFAULTS = {
    "kind": SiteKind.ACCESS_POINT,
    "lifecycle": Lifecycle.ACTIVE,
    "link_role": LinkRole.PRIMARY,
    "host_static": True,
    "presence": Presence.ALWAYS,
    "vantages": [CENTRAL_VANTAGE],
}

AddressKey = tuple[ProbeKind, str, int]


class CreatedSite(NamedTuple):
    """What a new site got when it was written."""

    id: int
    code: str
    link_role: LinkRole


@dataclass(slots=True, eq=False)
class Draft:
    """Drafts compare by identity."""

    values: dict[str, Any]  # every field of a site; `provider` is its slug
    set_fields: frozenset[str]  # those that the caller sent
    site: Site | None = None  # the registered site
    created: CreatedSite | None = None  # of a new one, once it is written
    provider: Provider | None = None
    contract_from: date | None = None  # the first day under its contract; None: today, if the contract changes

    @property
    def registered(self) -> Site | CreatedSite | None:
        """Return the site as it is registered; None for a new one that is not written yet."""
        return self.site if self.site is not None else self.created

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Return before and after of each field that changes; for a new site, of each that is not null."""
        before = dict.fromkeys(FIELDS) if self.site is None else current_values(self.site)
        changes = {name: (before[name], self.values[name]) for name in FIELDS if self.values[name] != before[name]}
        if self.contract_from is not None:
            since = None if self.site is None or "contract_id" in changes else self.site.contract_from
            if since != self.contract_from:
                changes["contract_from"] = (since, self.contract_from)
        return changes


def new(body: EditableFields) -> Draft:
    """Draft a new site; fields that are missing or null take their defaults."""
    sent = body.model_dump(exclude_unset=True)
    values = dict.fromkeys(FIELDS) | DEFAULTS | {name: value for name, value in sent.items() if value is not None}
    return Draft(values, frozenset(sent))


def change(site: Site, body: EditableFields) -> Draft:
    """Draft a change of the fields that `body` sets."""
    sent = body.model_dump(exclude_unset=True)
    return Draft(current_values(site) | sent, frozenset(sent), site)


def parse(
    body: dict[str, Any], *, site: Site | None, model: type[EditableFields] | None = None
) -> tuple[Draft, list[Fault]]:
    """Draft a new site (`site` is None) or a change from an untrusted body.

    Returns a fault for each malformed field and a draft of the others, so that those can be checked, too.
    """
    model = model or (SiteIn if site is None else SitePatch)
    faults: list[Fault] = []
    fields: EditableFields
    try:
        fields = model.model_validate(body)
    except ValidationError as error:
        faults = faults_from(map(dict, error.errors()), fields=list(model.model_fields), synonym_of=find_choice)
        sound = body.keys() & EditableFields.model_fields.keys() - {fault.field.partition(".")[0] for fault in faults}
        fields = EditableFields.model_validate({name: body[name] for name in sound})
    return new(fields) if site is None else change(site, fields), faults


def current_values(site: Site) -> dict[str, Any]:
    """Return the values of a registered site, as a draft has them."""
    return {name: getattr(site, name) for name in FIELDS if name != "provider"} | {"provider": site.provider.slug}


def address_key(values: dict[str, Any]) -> AddressKey | None:
    """Return the key of uq_site_active_address, which one active site may hold; None if the site is not probed."""
    if values["lifecycle"] is not Lifecycle.ACTIVE or values["host"] is None or values["probe"] is ProbeKind.PUSH:
        return None
    return values["probe"], values["host"], 0 if values["probe"] is ProbeKind.ICMP else values["port"] or 0

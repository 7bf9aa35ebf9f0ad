"""A site as it is to stand, before it does: a new one, or one that is there with what is to change."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.core.errors import Fault
from app.core.validation import faults_from
from app.registry.models import Lifecycle, LinkRole, Provider, Site, SiteKind
from app.registry.schemas import SiteFields, SiteIn, SitePatch
from app.registry.vocabulary import meant
from probes.contract import ProbeKind

FIELDS = tuple(SiteFields.model_fields)
DEFAULTS = {
    "kind": SiteKind.ACCESS_POINT,
    "lifecycle": Lifecycle.ACTIVE,
    "link_role": LinkRole.PRIMARY,
    "host_static": True,
}

Address = tuple[ProbeKind, str, int]


@dataclass(slots=True, eq=False)
class Draft:
    values: dict[str, Any]  # every field of a site; `provider` is its slug
    given: frozenset[str]  # the fields that were said
    site: Site | None = None  # the one that changes, or once it is written the one that was made
    provider: Provider | None = None

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Before and after of each field that is to be another; of a new site, of each that is something."""
        before = dict.fromkeys(FIELDS) if self.site is None else standing(self.site)
        return {name: (before[name], self.values[name]) for name in FIELDS if self.values[name] != before[name]}


def new(given: SiteFields) -> Draft:
    said = given.model_dump(exclude_unset=True)
    values: dict[str, Any] = dict.fromkeys(FIELDS) | {name: value for name, value in said.items() if value is not None}
    return Draft(
        {name: DEFAULTS.get(name) if value is None else value for name, value in values.items()}, frozenset(said)
    )


def change(site: Site, given: SiteFields) -> Draft:
    said = given.model_dump(exclude_unset=True)
    return Draft(standing(site) | said, frozenset(said), site)


def read(
    sent: dict[str, Any], *, site: Site | None, model: type[SiteFields] | None = None
) -> tuple[Draft, list[Fault]]:
    """What was sent for a new site, or for one that is there. A field of the wrong form is a fault, and left out of
    the draft: the others may be wrong too, and are looked at."""
    model = model or (SiteIn if site is None else SitePatch)
    faults: list[Fault] = []
    given: SiteFields
    try:
        given = model.model_validate(sent)
    except ValidationError as error:
        faults = faults_from(map(dict, error.errors()), fields=list(model.model_fields), synonym_of=meant)
        sound = sent.keys() & SiteFields.model_fields.keys() - {fault.field for fault in faults}
        given = SiteFields.model_validate({name: sent[name] for name in sound})
    return new(given) if site is None else change(site, given), faults


def standing(site: Site) -> dict[str, Any]:
    """The values of a site that is there."""
    return {name: getattr(site, name) for name in FIELDS if name != "provider"} | {"provider": site.provider.slug}


def address(values: dict[str, Any]) -> Address | None:
    """What only one site in service may be measured at: the key of uq_site_active_address."""
    if values["lifecycle"] is not Lifecycle.ACTIVE or values["host"] is None or values["probe"] is ProbeKind.PUSH:
        return None
    return values["probe"], values["host"], 0 if values["probe"] is ProbeKind.ICMP else values["port"] or 0

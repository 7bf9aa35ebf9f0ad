"""A site as it was sent: sound, or with everything that is wrong with it told at once."""

from typing import Annotated, Any, TypeVar

from pydantic import Field, RootModel, ValidationError
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.errors import Invalid
from app.registry import references, regions, rules, store
from app.registry.models import Site
from app.registry.schemas import SiteFields, SiteIn, SitePatch
from app.validation import faults_of
from probes.policy import Policy

Model = TypeVar("Model", SiteIn, SitePatch)


class Unsound(RootModel[Any]):
    """A body with a field of the wrong form. It is kept: its other fields may be wrong too, and are looked up."""


SentSite = Annotated[SiteIn | SkipJsonSchema[Unsound], Field(union_mode="left_to_right")]
SentPatch = Annotated[SitePatch | SkipJsonSchema[Unsound], Field(union_mode="left_to_right")]


async def require_sound(
    session: AsyncSession,
    sent: Model | Unsound,
    model: type[Model],
    *,
    caller: Caller,
    policy: Policy,
    ident: str | None = None,
) -> Model:
    """`ident` names the site that a patch is for.

    Raises Invalid with the faults of form, and those of what the fields of sound form say.
    """
    if not isinstance(sent, Unsound):
        if sent.village_code is not None:
            sent.village_code = await regions.current(session, sent.village_code)
        return sent
    try:
        return model.model_validate(sent.root)
    except ValidationError as error:
        faults = faults_of(map(dict, error.errors()), fields=list(model.model_fields))
    if not isinstance(sent.root, dict):
        raise Invalid(*faults)
    site = (await store.get_site(session, ident, caller=caller))[0] if ident is not None else None
    wrong = {fault.field for fault in faults}
    sound = {name: sent.root[name] for name in sent.root.keys() & SiteFields.model_fields.keys() - wrong}
    values = _before(site) | SiteFields.model_validate(sound).model_dump(exclude_unset=True)
    if values["village_code"] is not None:
        values["village_code"] = await regions.current(session, values["village_code"])
    _, more = await references.resolve(session, values, caller=caller, site=site, changed=sound)
    more += rules.check(values, policy=policy)
    raise Invalid(*faults, *(fault for fault in more if fault.field in sound))


def _before(site: Site | None) -> dict[str, Any]:
    if site is None:
        return dict.fromkeys(SiteFields.model_fields) | {"host_static": True}
    return {name: getattr(site, name, None) for name in SiteFields.model_fields} | {"provider": site.provider.slug}

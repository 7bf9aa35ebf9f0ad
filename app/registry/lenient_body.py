"""A site as it was sent: sound, or with everything that is wrong with it told at once."""

from typing import Annotated, Any, TypeVar

from pydantic import Field, RootModel, ValidationError
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Invalid
from app.core.validation import faults_from
from app.registry import drafts, store, writer
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import AddressPolicy

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
    policy: AddressPolicy,
    ident: str | None = None,
) -> Model:
    """`ident` names the site that a patch is for.

    Raises Invalid with the faults of form, and those of what the fields of sound form say.
    """
    if not isinstance(sent, Unsound):
        return sent
    if not isinstance(sent.root, dict):
        try:
            return model.model_validate(sent.root)
        except ValidationError as error:
            raise Invalid(*faults_from(map(dict, error.errors()))) from None
    site = (await store.get_site(session, ident, caller=caller))[0] if ident is not None else None
    draft, faults = drafts.read(sent.root, site=site)
    known = await writer.look_up(session, [draft], caller=caller)
    more = writer.check(draft, known, policy=policy)
    raise Invalid(*faults, *(fault for fault in more if fault.field in draft.given))

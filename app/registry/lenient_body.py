"""Accept a malformed site body, so that all its faults can be reported together: of form and of content."""

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


class MalformedBody(RootModel[Any]):
    """A body that its model refuses, kept as it was sent."""


SiteBody = Annotated[SiteIn | SkipJsonSchema[MalformedBody], Field(union_mode="left_to_right")]
PatchBody = Annotated[SitePatch | SkipJsonSchema[MalformedBody], Field(union_mode="left_to_right")]


async def require_valid(
    session: AsyncSession,
    body: Model | MalformedBody,
    model: type[Model],
    *,
    caller: Caller,
    policy: AddressPolicy,
    ident: str | None = None,
) -> Model:
    """Return the body if it is well formed. `ident`: the site that a patch is for.

    Raises Invalid with the faults of form, and those of content in the well-formed fields.
    """
    if not isinstance(body, MalformedBody):
        return body
    if not isinstance(body.root, dict):
        try:
            return model.model_validate(body.root)
        except ValidationError as error:
            raise Invalid(*faults_from(map(dict, error.errors()))) from None
    site = (await store.get_site(session, ident, caller=caller))[0] if ident is not None else None
    draft, faults = drafts.parse(body.root, site=site)
    references = await writer.load_references(session, [draft], caller=caller)
    more = writer.check(draft, references, policy=policy)
    raise Invalid(*faults, *(fault for fault in more if fault.field in draft.set_fields))

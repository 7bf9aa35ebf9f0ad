from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from app.alerts.models import MessageForm
from app.core.errors import Fault
from app.core.validation import FaultError, reject_nul
from app.registry.schemas import Text

MAX_URL, LEAST_SECRET, MAX_SECRET = 2_000, 16, 200


class ChannelHealth(StrEnum):
    """`ok`: the last delivery was accepted; `failing`: the last one was not; `silent`: what was sent a day ago has
    not been accepted; `untested`: nothing has been accepted by this target yet; `paused` by hand.
    """

    OK = "ok"
    FAILING = "failing"
    SILENT = "silent"
    UNTESTED = "untested"
    PAUSED = "paused"


def _read_url(value: Any, info: ValidationInfo) -> SecretStr:
    """Return the text, which no message repeats: it holds passwords and tokens."""
    if isinstance(value, str) and 0 < len(value.strip()) <= MAX_URL and value.isprintable():
        return SecretStr(value.strip())
    raise FaultError(
        Fault(
            info.field_name or "",
            "bad_url",
            "This is not the URL of a channel",
            "Write it like {example}, with at most {max} characters",
            values={"example": "https://hooks.example.go.id/sinyal-desa", "max": MAX_URL},
        )
    )


def _read_secret(value: Any, info: ValidationInfo) -> SecretStr:
    if isinstance(value, str) and LEAST_SECRET <= len(value) <= MAX_SECRET and value.isascii() and value.isprintable():
        return SecretStr(value)
    raise FaultError(
        Fault(
            info.field_name or "",
            "bad_secret",
            "A secret has {least} to {max} printable ASCII characters",
            "Leave it out: then one is generated",
            values={"least": LEAST_SECRET, "max": MAX_SECRET},
        )
    )


def _json_text(least: int, most: int, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "minLength": least, "maxLength": most, "writeOnly": True, "examples": [example]}
    )


WEBHOOK = "https://hooks.example.go.id/sinyal-desa"
TargetUrl = Annotated[SecretStr, BeforeValidator(_read_url), _json_text(1, MAX_URL, WEBHOOK)]
Secret = Annotated[
    SecretStr, BeforeValidator(_read_secret), _json_text(LEAST_SECRET, MAX_SECRET, "rahasia-penerima-2026")
]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(reject_nul)
]
MessageLanguage = Annotated[Literal["id", "en"], Field(description="of its messages: `id`, Bahasa Indonesia, or `en`")]
ChannelId = Annotated[int, Field(ge=1, le=2**31 - 1)]

URL = "where to deliver: https://… is a webhook; or mailto://, tgram://, ntfy://, … as Apprise writes them. Never shown"
SECRET = "of a webhook's signature; by default one is generated, and shown in this answer alone"  # noqa: S105
FALLBACK = "id of the office's channel that takes over what this one does not deliver"
PROVIDER = "slug of the provider that it tells, of the provider's own sites alone; null: it tells the office"

EXAMPLE: dict[str, Any] = {
    "name": "Grup jaga Kutai Kartanegara",
    "office": "64.02",
    "provider": None,
    "language": "id",
    "form": "long",
    "fallback": None,
}


class ChannelIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE | {"url": WEBHOOK}]})

    name: Name
    office: Annotated[Text, Field(description="code of its region: 64, or a district; default yours")] | None = None
    provider: Annotated[Text, Field(description=PROVIDER)] | None = None
    url: TargetUrl = Field(description=URL)
    secret: Secret | None = Field(None, description=SECRET)
    language: MessageLanguage = "id"
    form: MessageForm = Field(MessageForm.LONG, description="of its messages")
    fallback: Annotated[ChannelId, Field(description=FALLBACK, examples=[4])] | None = None
    default_rules: bool = Field(
        True, description="whether the office gets default rules for it, if it has none for the office or this provider"
    )


class ChannelPatch(BaseModel):
    """Only given fields change. A new `url` begins as untested."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"paused": True}]})

    name: Name | None = None
    url: Annotated[TargetUrl, Field(description=URL)] | None = None
    secret: Secret | None = Field(None, description="a secret of your own")
    rotate_secret: bool = Field(False, description="whether to generate a new secret, shown in this answer alone")
    language: MessageLanguage | None = None
    form: Annotated[MessageForm, Field(description="of its messages")] | None = None
    fallback: Annotated[ChannelId, Field(description=FALLBACK, examples=[4])] | None = None
    paused: Annotated[bool, Field(description="whether its notifications wait")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _require_same_scope(cls, body: Any) -> Any:
        for name in ("office", "provider"):
            if isinstance(body, dict) and name in body:
                raise FaultError(
                    Fault(name, "scope_stays", "Whom a channel tells cannot be changed", "Delete it and create another")
                )
        return body

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        require_given(self, "name", "url", "secret", "language", "form", "paused")
        return self

    @property
    def needs_sealing(self) -> bool:
        return self.url is not None or self.secret is not None or self.rotate_secret


def require_given(body: BaseModel, *names: str) -> None:
    """Raises FaultError for one of these fields that is given as null."""
    for name in names:
        if name in body.model_fields_set and getattr(body, name) is None:
            raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))


OUT_EXAMPLE: dict[str, Any] = {
    "id": 3,
    **EXAMPLE,
    "office_name": "Kabupaten Kutai Kartanegara",
    "service": "webhook",
    "target": "https://hooks.example.go.id/…",
    "state": "ok",
    "last_accepted_at": "2026-11-24T06:05:41Z",
    "failures": 0,
    "retry_at": None,
    "problem": None,
    "queued": 0,
    "paused_at": None,
    "created_at": "2026-11-20T02:00:00Z",
    "created_by": "ana",
    "version": 12,
}


class ChannelOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [OUT_EXAMPLE]})

    id: int
    name: str
    office: str = Field(description="code of the office's region")
    office_name: str = Field(description="name of that region")
    provider: str | None = Field(description=PROVIDER)
    service: str = Field(description="`webhook`, or what Apprise calls the service: mailto, tgram, ntfy, …")
    target: str | None = Field(description="the URL without what must stay secret; null to those who only read")
    language: str = Field(description="of its messages: `id` or `en`")
    form: MessageForm = Field(description="of its messages")
    fallback: int | None = Field(description=FALLBACK)
    state: ChannelHealth = Field(description="how its deliveries go")
    last_accepted_at: datetime | None = Field(description="when its target last accepted a message; null: never yet")
    failures: int = Field(description="deliveries in a row that failed")
    retry_at: datetime | None = Field(
        description="when a failing channel is tried again", examples=["2026-11-24T06:20:00Z"]
    )
    problem: str | None = Field(description="of the last delivery, if that failed", examples=["HTTP 500"])
    queued: int = Field(description="notifications that wait for their delivery")
    paused_at: datetime | None = Field(
        description="since when it is paused; null: it is not", examples=["2026-11-24T06:20:00Z"]
    )
    created_at: datetime
    created_by: str
    version: int = Field(description="opaque; send it back as If-Match")


MADE: dict[str, Any] = OUT_EXAMPLE | {"secret": "Zl0vJq7cXh2mTn5yRb8kWd4sPf6gUa1e"}


class ChannelChanged(ChannelOut):
    model_config = ConfigDict(json_schema_extra={"examples": [MADE]})

    secret: str | None = Field(
        None, description="a webhook's new secret, shown in this answer alone; null if none was generated"
    )


class ChannelMade(ChannelChanged):
    model_config = ConfigDict(json_schema_extra={"examples": [MADE | {"rules": [5, 6]}]})

    rules: list[int] = Field([], description="ids of the default rules that were created with it")

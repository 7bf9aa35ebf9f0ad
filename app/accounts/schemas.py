from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.access.models import Role
from app.access.passwords import MAX_RAW_LENGTH
from app.access.rights import Right
from app.core.errors import Fault
from app.core.validation import USERNAME, FaultError, reject_nul
from app.registry.schemas import Text


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) and len(value) <= MAX_USERNAME else value


def _limit_length(value: SecretStr) -> SecretStr:
    if len(value) > MAX_RAW_LENGTH:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": MAX_RAW_LENGTH})
    return value


MAX_USERNAME = 100  # characters before its form is checked
Password = Annotated[SecretStr, AfterValidator(_limit_length), Field(json_schema_extra={"maxLength": MAX_RAW_LENGTH})]
Username = Annotated[str, StringConstraints(max_length=MAX_USERNAME, pattern=USERNAME), BeforeValidator(_lower)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(reject_nul)
]
Code = Annotated[Text, Field(description="the region of its scope, a Kemendagri code; 64 is the province")]
Slug = Annotated[Text, Field(description="the provider's slug, for provider_viewer only")]
Days = Annotated[int, Field(ge=1, le=3650, description="until it expires")]

GRANTED: dict[str, Any] = {"role": "district_operator", "region_code": "64.02", "provider": None}
ACCOUNT: dict[str, Any] = {"username": "ana", "name": "Ana Lestari", **GRANTED}
ACCOUNT_OUT: dict[str, Any] = {
    "id": 3,
    **ACCOUNT,
    "region": "Kabupaten Kutai Kartanegara",
    "must_change_password": False,
    "version": 1,
    "created_at": "2026-11-24T06:00:00Z",
    "password_changed_at": "2026-11-24T06:10:00Z",
    "last_signed_in_at": "2026-11-24T06:10:00Z",
    "disabled_at": None,
}
OPEN_SESSION: dict[str, Any] = {
    "id": 71,
    "address": "198.51.100.0/24",
    "created_at": "2026-11-24T06:10:00Z",
    "seen_at": "2026-11-24T07:02:00Z",
    "expires_at": "2026-11-24T18:10:00Z",
}
TOKEN: dict[str, Any] = {"name": "Excel of Kutai Kartanegara", **GRANTED, "days": 90}
TOKEN_OUT: dict[str, Any] = {
    "id": 12,
    "name": "Excel of Kutai Kartanegara",
    **GRANTED,
    "account_id": 3,
    "username": "ana",
    "created_at": "2026-11-24T06:00:00Z",
    "created_by": "sari",
    "expires_at": "2027-02-22T06:00:00Z",
    "revoked_at": None,
    "revoked_by": None,
    "last_used_at": None,
}

ME: dict[str, Any] = {
    "name": "Ana Lestari",
    "username": "ana",
    **GRANTED,
    "region": "Kabupaten Kutai Kartanegara",
    "account_id": 3,
    "token_id": None,
    "expires_at": "2026-11-24T18:00:00Z",
    "rights": ["read", "write"],
    "grants": [],
    "must_change_password": False,
}
PASSWORDS: dict[str, Any] = {
    "current_password": "7c9u-x2mk-pw4e-hd3q",
    "new_password": "kapal lewat sungai pagi",
}


class AccountIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [ACCOUNT]})

    username: Username
    name: Name
    role: Role
    region_code: Code
    provider: Slug | None = None
    password: Password | None = Field(
        None, description="default: one is generated, and shown once", examples=["kapal lewat sungai pagi"]
    )


class AccountPatch(BaseModel):
    """Only the fields that are sent change."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "viewer"}]})

    name: Name | None = None
    role: Role | None = None
    region_code: Code | None = None
    provider: Slug | None = None
    disabled: bool | None = Field(None, description="sessions of a disabled account end, its tokens stop working")

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        for name in self.model_fields_set - {"provider"}:
            if getattr(self, name) is None:
                raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


class AccountOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_OUT]})

    id: int
    username: str
    name: str
    role: Role
    region_code: str
    region: str | None = Field(description="the region's name")
    provider: str | None
    must_change_password: bool = Field(description="somebody else chose its password")
    created_at: datetime
    password_changed_at: datetime = Field(description="when its password was last set")
    last_signed_in_at: datetime | None = Field(description="when it last signed in; null: never")
    disabled_at: datetime | None
    version: int = Field(description="opaque: send it back as If-Match")


class AccountMade(AccountOut):
    initial_password: str | None = Field(
        None,
        description="shown this once; null when the request had one, or is a repetition",
        examples=["7c9u-x2mk-pw4e-hd3q"],
    )


class OpenSessionOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [OPEN_SESSION]})

    id: int
    address: str | None = Field(description="the network that it was opened from")
    created_at: datetime = Field(description="when it was opened")
    seen_at: datetime = Field(description="when it was last used, to about a minute")
    expires_at: datetime = Field(description="at the latest; sooner when idle")


class TokenIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [TOKEN]})

    name: Annotated[Name, Field(description="who uses it, and what for")]
    role: Role
    region_code: Annotated[Code, Field(description="default: the owner's")] | None = None
    provider: Annotated[Slug, Field(description="for provider_viewer only; default: the owner's")] | None = None
    account_id: int | None = Field(
        None, ge=1, le=2**31 - 1, description="its owner, whom it never exceeds; default: you"
    )
    days: Days = 365


class TokenOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [TOKEN_OUT]})

    id: int
    name: str
    role: Role
    region_code: str
    provider: str | None
    account_id: int | None = Field(description="null: created on the command line, without an owner")
    username: str | None = Field(description="the owner's")
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None = Field(description="when it was last used, to about a minute; null: never")


class TokenMade(TokenOut):
    token: str | None = Field(
        None,
        description="the secret, shown this once; null in the response to a repetition",
        examples=["sinyal_5VqN8xk2"],
    )


class SignInIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"username": "ana", "password": "kapal lewat sungai pagi"}]}
    )

    username: Annotated[
        str, StringConstraints(max_length=MAX_USERNAME), AfterValidator(reject_nul), BeforeValidator(_lower)
    ]
    password: Password = Field(description="its password")


class PasswordIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PASSWORDS]})

    current_password: Password = Field(description="the password that you have")
    new_password: Password = Field(description="12 to 256 characters, not easily guessed")


class MeOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ME]})

    name: str
    username: str | None = Field(description="of the account, or of the token's owner")
    role: Role
    region_code: str
    region: str | None = Field(description="the region's name")
    provider: str | None
    account_id: int | None
    token_id: int | None = Field(description="null in a session of the console")
    expires_at: datetime | None = Field(description="end of the token, or latest end of the session")
    rights: list[Right] = Field(description="what your role may do within its scope")
    grants: list[Role] = Field(description="roles that you may give to accounts and tokens within your scope")
    must_change_password: bool = Field(description="until then only /me and /session are allowed")


class SessionOut(BaseModel):
    account: MeOut = Field(description="whose session it is")
    csrf_token: str = Field(
        description="send it as header X-CSRF-Token with POST, PATCH and DELETE", examples=["b5d1f0c27a934e88"]
    )
    expires_at: datetime = Field(description="at the latest; sooner when idle")

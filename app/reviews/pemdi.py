"""The evidence for indicators of digital government, as `config/pemdi.toml` lists it."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from app.reviews.schemas import EvidenceOut
from app.settings import CONFIG_DIR, SettingsError

FILE = CONFIG_DIR / "pemdi.toml"


@cache
def evidence() -> EvidenceOut:
    return read_evidence(FILE)


def read_evidence(file: Path) -> EvidenceOut:
    """Raises SettingsError, which names the file and the field, for whatever the file has wrong."""
    try:
        return EvidenceOut.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{file.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name}: {error}") from None

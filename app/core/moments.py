"""Moments as responses show them."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from app.core.clock import to_wita

WitaMoment = Annotated[datetime, AfterValidator(to_wita)]  # with WITA's offset, `+08:00`, whatever zone it came in

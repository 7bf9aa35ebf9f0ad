from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setup:
    """How a site was set up: in service or not, whose, by which technology, and where."""

    active: bool
    provider_id: int = 0
    technology: str = ""
    village_code: str = ""

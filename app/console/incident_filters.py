"""The filter of incidents in an address: what it asks of the API, and the choices that its form offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from app.console import choices
from app.console.page import ConsoleRequest

TO_DO, ALL = "open,acknowledged", "all"
FIELDS = ("status", "kind", "cause", "technology", "region", "provider", "period", "site")


@dataclass(frozen=True, slots=True)
class IncidentQuery:
    """The values of FIELDS; without a status what is to be done is meant, `all` is every status."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "IncidentQuery":
        return cls({name: given[name] for name in FIELDS if given.get(name)})

    @property
    def status(self) -> str:
        return self.values.get("status", TO_DO)

    @property
    def api_params(self) -> dict[str, str]:
        named = {name: value for name, value in self.values.items() if name != "status"}
        return named if self.status == ALL else named | {"status": self.status}

    @property
    def address(self) -> str:
        """Return the page's path with the filter."""
        return "/incidents" + (f"?{urlencode(self.values)}" if self.values else "")

    def files(self, **more: str) -> str:
        """Return the path of the API's file of the same incidents."""
        return "/incidents?" + urlencode(self.api_params | more)


async def load_choices(console: ConsoleRequest) -> dict[str, list[tuple[str, str]]]:
    """Return the regions below the caller's, the providers and the months, each as value and word."""
    return {
        "regions": await choices.child_regions(console),
        "providers": await choices.providers(console.api),
        "months": choices.months(console),
    }

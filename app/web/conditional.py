"""Conditional requests and content negotiation: If-None-Match, Accept-Encoding, Accept."""


def parse_etags(if_none_match: str | None) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}


def accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def prefers(accept: str, media_type: str, other: str) -> bool:
    """Whether an Accept header names `media_type`, with no lower weight than `other`."""
    weights = {name.strip(): _weight(rest) for name, _, rest in (p.partition(";") for p in accept.lower().split(","))}
    return weights.get(media_type, 0.0) > 0 and weights[media_type] >= weights.get(other, 0.0)


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0

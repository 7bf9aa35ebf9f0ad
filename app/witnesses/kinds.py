"""Who speaks of a site's link, and what a statement may be. Pure."""

from enum import StrEnum


class WitnessKind(StrEnum):
    """`central`: our own look; `agent`: the site's own device; `stream`: the connection that it holds open;
    `terminal`: the link's terminal or router, read on its own network; `provider`: the provider's own system;
    `visitor`: somebody on the village's Wi-Fi.
    """

    CENTRAL = "central"
    AGENT = "agent"
    STREAM = "stream"
    TERMINAL = "terminal"
    PROVIDER = "provider"
    VISITOR = "visitor"


class Says(StrEnum):
    """What of the link: that it was `up` or `down`; `nothing`: the witness was there, and proves neither."""

    UP = "up"
    DOWN = "down"
    NOTHING = "nothing"


class Provable(StrEnum):
    """What a witness may prove: that the link was `up`, that it was `down`, or the `cause` of an outage."""

    UP = "up"
    DOWN = "down"
    CAUSE = "cause"

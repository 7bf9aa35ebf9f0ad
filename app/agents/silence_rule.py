"""When a pushing site's silence may count: the conditions shared by the worker, which records missed pushes, and the
API, which shows whether a site's silence would count.

SQL over `site s`, its `site_status st` and its `device d`.
"""

from datetime import timedelta

from app.agents.models import AgentKind

# A device that we refused or did not answer pauses, at most so long: two minutes, a quarter more by chance, and the
# beat at which it looks whether the pause is over. Scripts of version 1 double their pauses, up to eight minutes.
LONGEST_PAUSE = timedelta(seconds=210)
LONGEST_PAUSE_OF_VERSION_1 = timedelta(seconds=540)
VERSION_1 = {f"{kind}/1" for kind in AgentKind}
QUORUM = 2  # other sites heard around a due time, without which a missed push is no evidence of anything
PUSHES = "(s.lifecycle = 'active' AND s.probe = 'push')"
IS_ALWAYS_PRESENT = "(s.presence = 'always')"  # else its device is switched off at times: silence proves nothing
HEARD_AT_ADDRESS = "coalesce(st.last_ok_at >= date_trunc('second', s.addressed_at), false)"
# The last push used a token that is valid now. With a revoked token the device may still send and be rejected, so its
# silence says nothing about the link.
DEVICE_IS_ADMITTED = """EXISTS (
    SELECT FROM device_token t WHERE t.id = d.token_id AND t.site_id = s.id AND t.revoked_at IS NULL
)"""


def longest_pause(agent: str | None) -> timedelta:
    """Return how long a device may pause after a refusal of ours, by the name that its pushes carry."""
    return LONGEST_PAUSE_OF_VERSION_1 if agent in VERSION_1 else LONGEST_PAUSE

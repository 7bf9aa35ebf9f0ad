"""When a pushing site's silence may count: the conditions shared by the worker, which records missed pushes, and the
API, which shows whether a site's silence would count.

SQL over `site s`, its `site_status st` and its `device d`.
"""

QUORUM = 2  # other sites heard around a due time, without which a missed push is no evidence of anything
PUSHES = "(s.lifecycle = 'active' AND s.probe = 'push')"
IS_ALWAYS_PRESENT = "(s.presence = 'always')"  # else its device is switched off at times: silence proves nothing
HEARD_AT_ADDRESS = "coalesce(st.last_ok_at >= date_trunc('second', s.addressed_at), false)"
# The last push used a token that is valid now. With a revoked token the device may still send and be rejected, so its
# silence says nothing about the link.
DEVICE_IS_ADMITTED = """EXISTS (
    SELECT FROM device_token t WHERE t.id = d.token_id AND t.site_id = s.id AND t.revoked_at IS NULL
)"""

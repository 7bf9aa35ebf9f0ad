"""The ledger keeps an outage's last lost reading: what a contract's least duration is compared with."""

from alembic import op

revision = "20261128_last_loss"
down_revision = "20261125_enrolment"
branch_labels = None
depends_on = None

# Where the readings are gone, an incident may still know; where neither does, an outage counts by its whole length.
BACKFILL = """
UPDATE state_segment g SET last_loss_at = coalesce((
    SELECT max(m.slot) FROM measurement m
    WHERE m.site_id = g.site_id AND m.slot >= g.started_at AND m.slot < g.ended_at AND m.outcome = 'timeout'
        AND NOT EXISTS (
            SELECT 1 FROM blind b WHERE b.source = m.source AND b.ended_at > m.slot
                AND b.started_at < m.slot + make_interval(secs => greatest(m.sent - 1, 0) + 3)
        )
), (
    SELECT max(i.last_loss_at) FROM incident_site i
    WHERE i.site_id = g.site_id AND i.withdrawn_at IS NULL
        AND i.last_loss_at >= g.started_at AND i.last_loss_at < g.ended_at
))
WHERE g.ended_at IS NOT NULL AND g.state IN ('down', 'unreachable')
"""
# Days with downtime are counted anew: which of it is one outage, and which counts for a contract, has changed.
RECOUNT = """
INSERT INTO stale_day (site_id, day)
SELECT DISTINCT site_id, day FROM availability_day WHERE down > 0 OR unreachable > 0
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute("ALTER TABLE state_segment ADD COLUMN last_loss_at timestamptz")
    op.execute(BACKFILL)
    op.execute(RECOUNT)
    op.execute("UPDATE change_counter SET version = version + 1 WHERE name = 'past'")


def downgrade() -> None:
    op.execute("ALTER TABLE state_segment DROP COLUMN last_loss_at")

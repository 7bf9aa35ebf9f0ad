"""How many seconds of a day rest on claims, and outages that their own devices refute."""

from alembic import op

revision = "20261128_claimed_seconds"
down_revision = "20261128_claims"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE availability_day ADD COLUMN claimed integer NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE availability_day ALTER COLUMN claimed DROP DEFAULT")
    op.execute("ALTER TABLE region_availability_day ADD COLUMN claimed bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE region_availability_day ALTER COLUMN claimed DROP DEFAULT")
    op.execute("""
        ALTER TABLE incident_site ADD COLUMN refuted_at timestamptz, ADD COLUMN refuted_s integer NOT NULL DEFAULT 0,
            ADD COLUMN refuted_signs text[]
    """)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE incident_site DROP COLUMN refuted_at, DROP COLUMN refuted_s, DROP COLUMN refuted_signs
    """)
    op.execute("DELETE FROM incident_event WHERE kind = 'refuted'")
    op.execute("ALTER TABLE region_availability_day DROP COLUMN claimed")
    op.execute("ALTER TABLE availability_day DROP COLUMN claimed")

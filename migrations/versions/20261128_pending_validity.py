"""The judge state keeps for how long a loss that waits for its confirmation is valid by itself."""

from alembic import op

revision = "20261128_pending_validity"
down_revision = "20261128_dated_kind"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE site_status ADD COLUMN pending_valid_s integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE site_status DROP COLUMN pending_valid_s")

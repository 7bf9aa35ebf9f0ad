"""Spreadsheets may call a provider by further names."""

from alembic import op

revision = "20261128_provider_aliases"
down_revision = "20261128_contract_day_role"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE provider ADD COLUMN aliases text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE provider DROP COLUMN aliases")

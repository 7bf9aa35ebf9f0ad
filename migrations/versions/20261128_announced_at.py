"""When a maintenance window was announced, which a later move over time that was over changes."""

from alembic import op

revision = "20261128_announced_at"
down_revision = "20261128_contract_by_day_alone"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE maintenance_window ADD COLUMN announced_at timestamptz NOT NULL DEFAULT now()")
    op.execute("UPDATE maintenance_window SET announced_at = created_at")


def downgrade() -> None:
    op.execute("ALTER TABLE maintenance_window DROP COLUMN announced_at")

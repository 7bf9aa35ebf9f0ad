"""Results of visitors that cannot be true are found without the others."""

from alembic import op

revision = "20261129_visit_flaws"
down_revision = "20261129_telemetry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_visit_result_flawed ON visit_result (at, site_id) WHERE flaw IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX ix_visit_result_flawed")

"""The reasons of corrections have no names: providers read them. Who set a cause stands beside the cause."""

from alembic import op

revision = "20261128_nameless_reasons"
down_revision = "20261128_announced_at"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("month_correction", "stale_month"):
        op.execute(rf"UPDATE {table} SET reason = regexp_replace(reason, '^(cause [a-z]+), by .*$', '\1')")


def downgrade() -> None:
    pass

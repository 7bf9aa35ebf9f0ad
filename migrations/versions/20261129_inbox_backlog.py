"""The inbox tells the backlog of devices that came back from what says how their sites are now."""

from alembic import op

revision = "20261129_inbox_backlog"
down_revision = "20261129_streams"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE push_inbox ADD COLUMN is_backlog boolean NOT NULL DEFAULT false")
    op.execute("CREATE INDEX ix_push_inbox_order ON push_inbox (is_backlog, id)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_push_inbox_order")
    op.execute("ALTER TABLE push_inbox DROP COLUMN is_backlog")

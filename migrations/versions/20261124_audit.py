"""The audit stays append-only in a session that replays a replica's changes, too: its trigger always fires."""

from alembic import op

revision = "20261124_audit"
down_revision = "20261124_moves"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE audit ENABLE ALWAYS TRIGGER tr_audit_append_only")


def downgrade() -> None:
    op.execute("ALTER TABLE audit ENABLE TRIGGER tr_audit_append_only")

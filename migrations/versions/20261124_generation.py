"""The generation of the counters: a restored database counts again from where it was, and says so."""

from alembic import op

revision = "20261124_generation"
down_revision = "20261124_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("INSERT INTO change_counter VALUES ('generation', extract(epoch FROM clock_timestamp()))")


def downgrade() -> None:
    op.execute("DELETE FROM change_counter WHERE name = 'generation'")

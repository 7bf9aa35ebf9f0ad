"""Each prober has a token: the worker's own, which needs none, has no row."""

from alembic import op

revision = "20261129_prober_tokens"
down_revision = "20261129_former_children"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE prober ALTER COLUMN digest SET NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE prober ALTER COLUMN digest DROP NOT NULL")

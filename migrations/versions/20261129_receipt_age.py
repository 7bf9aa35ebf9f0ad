"""Receipts of probers' blocks are deleted by their age: an index that finds the old ones without reading all."""

from alembic import op

revision = "20261129_receipt_age"
down_revision = "20261129_prober_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_prober_receipt_received_at ON prober_receipt USING brin (received_at)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_prober_receipt_received_at")

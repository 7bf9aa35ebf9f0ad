"""By whom, and why, terms of a contract were recorded."""

from alembic import op

revision = "20261128_terms_recorded_by"
down_revision = "20261128_certificates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE contract_terms ADD COLUMN recorded_by text, ADD COLUMN recorded_because text")


def downgrade() -> None:
    op.execute("ALTER TABLE contract_terms DROP COLUMN recorded_by, DROP COLUMN recorded_because")

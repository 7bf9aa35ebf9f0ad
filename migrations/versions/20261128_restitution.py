"""Restitution: whose a monthly fee is, the rule that pays back, the least coverage; a site's own fee under a contract."""

from alembic import op

revision = "20261128_restitution"
down_revision = "20261128_alerts"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE contract_terms ADD COLUMN fee_per VARCHAR(20) DEFAULT 'contract' NOT NULL",
    "ALTER TABLE contract_terms ADD COLUMN restitution JSONB",
    "ALTER TABLE contract_terms ADD COLUMN min_coverage_pct NUMERIC(6, 3)",
    "ALTER TABLE site_contract ADD COLUMN monthly_fee_idr BIGINT",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE site_contract DROP COLUMN monthly_fee_idr")
    for column in ("min_coverage_pct", "restitution", "fee_per"):
        op.execute(f"ALTER TABLE contract_terms DROP COLUMN {column}")

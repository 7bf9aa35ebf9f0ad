"""A site's contract is dated by site_contract alone."""

from alembic import op

revision = "20261128_contract_by_day_alone"
down_revision = "20261128_provider_aliases"
branch_labels = None
depends_on = None

# As it was: the contract of today on the site, the one in force when a configuration began on the configuration.
FILL = """
UPDATE site s SET contract_id = a.contract_id FROM site_contract a
WHERE a.site_id = s.id AND a.withdrawn_at IS NULL
    AND daterange(a.started_on, a.ended_on) @> (now() AT TIME ZONE 'Asia/Makassar')::date;
UPDATE site_configuration c SET contract_id = a.contract_id FROM site_contract a
WHERE a.site_id = c.site_id AND a.withdrawn_at IS NULL
    AND daterange(a.started_on, a.ended_on) @> (c.started_at AT TIME ZONE 'Asia/Makassar')::date
"""


def upgrade() -> None:
    for table in ("site", "site_configuration"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN contract_id")
    op.execute("CREATE INDEX ix_site_contract_site_id ON site_contract (site_id)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_site_contract_site_id")
    for table in ("site", "site_configuration"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN contract_id integer "
            f"CONSTRAINT fk_{table}_contract_id REFERENCES contract (id)"
        )
    for statement in FILL.split(";\n"):
        op.execute(statement)

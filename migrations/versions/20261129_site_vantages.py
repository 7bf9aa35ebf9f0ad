"""From which vantages a site is looked at, dated."""

from alembic import op

revision = "20261129_site_vantages"
down_revision = "20261129_assignment"
branch_labels = None
depends_on = None

ADD = """
ALTER TABLE {table} ADD COLUMN vantages smallint[] NOT NULL DEFAULT '{{0}}'
    CONSTRAINT ck_{table}_vantages CHECK (
        cardinality(vantages) BETWEEN 1 AND 9 AND 0 <= ALL(vantages) AND 8 >= ALL(vantages)
    )
"""


def upgrade() -> None:
    op.execute(ADD.format(table="site"))
    op.execute(ADD.format(table="site_configuration"))


def downgrade() -> None:
    op.execute("ALTER TABLE site_configuration DROP COLUMN vantages")
    op.execute("ALTER TABLE site DROP COLUMN vantages")

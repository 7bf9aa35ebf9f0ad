"""An index of the few configurations in which several vantages look at a site."""

from alembic import op

revision = "20261129_several_vantages"
down_revision = "20261129_lost_from"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX ix_site_configuration_vantages ON site_configuration (site_id) WHERE cardinality(vantages) > 1
    """)


def downgrade() -> None:
    op.execute("DROP INDEX ix_site_configuration_vantages")

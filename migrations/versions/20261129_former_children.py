"""Children of a node by the time: each change of a node looks for them, and read the whole table."""

from alembic import op

revision = "20261129_former_children"
down_revision = "20261129_several_vantages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_site_configuration_parent_id ON site_configuration (parent_id) WHERE parent_id IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_site_configuration_parent_id")

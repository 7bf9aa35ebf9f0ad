"""Filters of the list of sites that an account, or a token without one, gave a name."""

from alembic import op

revision = "20261128_saved_views"
down_revision = "20261128_nameless_reasons"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE saved_view (
            id serial CONSTRAINT pk_saved_view PRIMARY KEY,
            owner text NOT NULL,
            name text NOT NULL,
            query text NOT NULL,
            CONSTRAINT uq_saved_view_owner_name UNIQUE (owner, name)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE saved_view")

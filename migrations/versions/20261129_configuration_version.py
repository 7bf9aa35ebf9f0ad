"""The registry's version with which a site's configuration began: who follows it tells a new one from a new name."""

from alembic import op

revision = "20261129_configuration_version"
down_revision = "20261129_window_from"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE site_configuration ADD COLUMN version bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE site_configuration DROP COLUMN version")

"""Whether a site's device is to be on day and night, and its public hours, both dated."""

from alembic import op

revision = "20261129_presence"
down_revision = "20261129_visits"
branch_labels = None
depends_on = None

ADD = """
ALTER TABLE {table} ADD COLUMN presence varchar(20) NOT NULL DEFAULT 'always'
    CONSTRAINT ck_{table}_presence CHECK (presence IN ('always', 'sometimes'))
"""


def upgrade() -> None:
    op.execute(ADD.format(table="site"))
    op.execute(ADD.format(table="site_configuration"))
    op.execute("ALTER TABLE site_configuration ADD COLUMN public_hours text")
    # All of the past is `always`, for which hours decide nothing: today's are as good as any.
    op.execute("UPDATE site_configuration c SET public_hours = s.public_hours FROM site s WHERE s.id = c.site_id")


def downgrade() -> None:
    op.execute("ALTER TABLE site_configuration DROP COLUMN public_hours, DROP COLUMN presence")
    op.execute("ALTER TABLE site DROP COLUMN presence")

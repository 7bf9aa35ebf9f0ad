"""Where the judge's window of each site begins: the window itself is written only when the judge was asked."""

from alembic import op

revision = "20261129_window_from"
down_revision = "20261129_day_packs"
branch_labels = None
depends_on = None

ADD = """
    ALTER TABLE site_status ADD COLUMN window_from timestamptz
"""
FILL = """
    UPDATE site_status SET window_from = to_timestamp((pooled -> 0 ->> 0)::bigint)
    WHERE jsonb_array_length(pooled) > 0
"""


def upgrade() -> None:
    op.execute(ADD)
    op.execute(FILL)


def downgrade() -> None:
    op.execute("ALTER TABLE site_status DROP COLUMN window_from")

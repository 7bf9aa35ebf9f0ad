"""A spreadsheet that was tried is kept for an hour, so that it is confirmed without being sent again.

Unlogged: what a crash loses is chosen again, and files of megabytes stay out of the write-ahead log.
"""

from alembic import op

revision = "20261128_kept_upload"
down_revision = "20261128_saved_views"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE UNLOGGED TABLE kept_upload (owner text NOT NULL CONSTRAINT pk_kept_upload PRIMARY KEY, "
        "id text NOT NULL, name text NOT NULL, digest text NOT NULL, content bytea NOT NULL, "
        "kept_at timestamptz NOT NULL DEFAULT now())"
    )


def downgrade() -> None:
    op.execute("DROP TABLE kept_upload")

"""Tickets: whoever cannot send headers opens a stream with one."""

from alembic import op

revision = "20261124_ticket"
down_revision = "20261124_generation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE stream_ticket (
            digest bytea CONSTRAINT pk_stream_ticket PRIMARY KEY,
            kind varchar(20) NOT NULL CONSTRAINT ck_stream_ticket_kind CHECK (kind IN ('token', 'session')),
            credential bytea NOT NULL,
            expires_at timestamptz NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE stream_ticket")

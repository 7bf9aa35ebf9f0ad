"""Editions of the monthly open data, kept as they were published."""

from alembic import op

revision = "20261128_open_data"
down_revision = "20261128_restitution"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE open_data_edition (
        month date NOT NULL,
        version integer NOT NULL,
        published_at timestamptz NOT NULL,
        sha256 text NOT NULL,
        reason text,
        terms jsonb NOT NULL,
        checked_at timestamptz NOT NULL,
        CONSTRAINT pk_open_data_edition PRIMARY KEY (month, version)
    )
    """,
    """
    CREATE TABLE open_data_file (
        month date NOT NULL,
        version integer NOT NULL,
        name text NOT NULL,
        sha256 text NOT NULL,
        size integer NOT NULL,
        body bytea NOT NULL,
        CONSTRAINT pk_open_data_file PRIMARY KEY (month, version, name),
        CONSTRAINT fk_open_data_file_month_version FOREIGN KEY (month, version)
            REFERENCES open_data_edition (month, version)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE open_data_file")
    op.execute("DROP TABLE open_data_edition")

"""Which vantages lose a site that others reach, and at which provider a vantage stands."""

from alembic import op

revision = "20261129_lost_from"
down_revision = "20261129_shards"
branch_labels = None
depends_on = None

HOSTS = """
CREATE TABLE vantage_host (
    vantage smallint NOT NULL CONSTRAINT fk_vantage_host_vantage_vantage REFERENCES vantage (number),
    started_at timestamptz NOT NULL,
    provider_id integer CONSTRAINT fk_vantage_host_provider_id_provider REFERENCES provider (id),
    CONSTRAINT pk_vantage_host PRIMARY KEY (vantage, started_at)
)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE site_status ADD COLUMN lost_from smallint[] NOT NULL DEFAULT '{}'")
    op.execute(HOSTS)


def downgrade() -> None:
    op.execute("DROP TABLE vantage_host")
    op.execute("ALTER TABLE site_status DROP COLUMN lost_from")

"""Which prober looks at a site for a vantage."""

from alembic import op

revision = "20261129_assignment"
down_revision = "20261129_probers"
branch_labels = None
depends_on = None

TABLE = """
    CREATE TABLE assignment (
        site_id integer NOT NULL CONSTRAINT fk_assignment_site_id_site REFERENCES site (id),
        vantage smallint NOT NULL CONSTRAINT fk_assignment_vantage_vantage REFERENCES vantage (number),
        prober_id integer CONSTRAINT fk_assignment_prober_id_prober REFERENCES prober (id),
        since timestamptz NOT NULL,
        version bigint NOT NULL,
        CONSTRAINT pk_assignment PRIMARY KEY (site_id, vantage)
    )
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX ix_assignment_version ON assignment (version)")
    op.execute("CREATE INDEX ix_assignment_prober_id ON assignment (prober_id)")


def downgrade() -> None:
    op.execute("DROP TABLE assignment")

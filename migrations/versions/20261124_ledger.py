"""The whole ledger: what judgement carries, checkpoints, dated profiles, suspicion."""

from alembic import op

revision = "20261124_ledger"
down_revision = "20261124_first"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE state_segment ADD COLUMN confirmed_at timestamptz;

ALTER TABLE site_status ADD COLUMN looks integer[] NOT NULL DEFAULT '{}';

ALTER TABLE site_configuration ADD COLUMN addressed_at timestamptz;
UPDATE site_configuration c SET addressed_at = s.addressed_at FROM site s WHERE s.id = c.site_id;
ALTER TABLE site_configuration ALTER COLUMN addressed_at SET NOT NULL;

CREATE TABLE checkpoint (
    site_id integer NOT NULL CONSTRAINT fk_checkpoint_site_id REFERENCES site (id),
    at timestamptz NOT NULL,
    quiet boolean NOT NULL,
    carry jsonb NOT NULL,
    CONSTRAINT pk_checkpoint PRIMARY KEY (site_id, at)
);

CREATE TABLE dated_profile (
    technology varchar(20) NOT NULL,
    started_at timestamptz NOT NULL,
    profile jsonb NOT NULL,
    CONSTRAINT pk_dated_profile PRIMARY KEY (technology, started_at)
);
"""

DROPPED = """
DROP TABLE dated_profile;
DROP TABLE checkpoint;
ALTER TABLE site_configuration DROP COLUMN addressed_at;
ALTER TABLE site_status DROP COLUMN looks;
ALTER TABLE state_segment DROP COLUMN confirmed_at;
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for statement in DROPPED.split(";\n"):
        if statement.strip():
            op.execute(statement)

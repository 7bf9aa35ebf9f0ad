"""Where a site belongs is dated like its provider: what it came to before a move stays with the region it came from."""

from alembic import op

revision = "20261124_moves"
down_revision = "20261124_access"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE site_configuration ADD COLUMN village_code text
    CONSTRAINT fk_site_configuration_village_code REFERENCES region (code);
UPDATE site_configuration SET village_code = site.village_code FROM site WHERE site.id = site_configuration.site_id;
ALTER TABLE site_configuration ALTER COLUMN village_code SET NOT NULL;

CREATE INDEX ix_site_code ON site (code text_pattern_ops);

ALTER TABLE availability_day ADD COLUMN village_code text;
UPDATE availability_day SET village_code = site.village_code FROM site WHERE site.id = availability_day.site_id;
ALTER TABLE availability_day DROP CONSTRAINT pk_availability_day;
ALTER TABLE availability_day
    ADD CONSTRAINT pk_availability_day PRIMARY KEY (day, site_id, provider_id, technology, village_code);

ALTER TABLE outage_part ADD COLUMN village_code text;
UPDATE outage_part SET village_code = site.village_code FROM site WHERE site.id = outage_part.site_id;
ALTER TABLE outage_part DROP CONSTRAINT pk_outage_part;
ALTER TABLE outage_part
    ADD CONSTRAINT pk_outage_part PRIMARY KEY (day, site_id, provider_id, technology, village_code, started_at);
"""

DROPPED = """
ALTER TABLE outage_part DROP CONSTRAINT pk_outage_part;
ALTER TABLE outage_part DROP COLUMN village_code;
ALTER TABLE outage_part ADD CONSTRAINT pk_outage_part PRIMARY KEY (day, site_id, provider_id, technology, started_at);
ALTER TABLE availability_day DROP CONSTRAINT pk_availability_day;
ALTER TABLE availability_day DROP COLUMN village_code;
ALTER TABLE availability_day ADD CONSTRAINT pk_availability_day PRIMARY KEY (day, site_id, provider_id, technology);
DROP INDEX ix_site_code;
ALTER TABLE site_configuration DROP COLUMN village_code;
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for statement in DROPPED.split(";\n"):
        if statement.strip():
            op.execute(statement)

"""What contracts count is kept apart by the site's link; a day's unknown contract seconds are told there alone."""

from alembic import op

revision = "20261128_contract_day_role"
down_revision = "20261128_contracts_by_day"
branch_labels = None
depends_on = None

# Nothing has been counted into contract_day yet: the days of sites under contract wait in stale_day.
UPGRADE = """
TRUNCATE contract_day;
ALTER TABLE contract_day ADD COLUMN link_role varchar(20) NOT NULL;
ALTER TABLE contract_day DROP CONSTRAINT pk_contract_day;
ALTER TABLE contract_day ADD CONSTRAINT pk_contract_day
    PRIMARY KEY (day, site_id, contract_id, link_role, terms_on, provider_id, technology, village_code);
ALTER TABLE availability_day DROP CONSTRAINT ck_availability_day_never_negative;
ALTER TABLE availability_day DROP COLUMN contract_unknown_s;
ALTER TABLE availability_day ADD CONSTRAINT ck_availability_day_never_negative CHECK (least(
    up, degraded, down, unreachable, unknown, maintenance, inactive, outages, longest_outage_s, countable_down_s,
    contract_s) >= 0)
"""
DOWNGRADE = """
TRUNCATE contract_day;
ALTER TABLE contract_day DROP CONSTRAINT pk_contract_day;
ALTER TABLE contract_day DROP COLUMN link_role;
ALTER TABLE contract_day ADD CONSTRAINT pk_contract_day
    PRIMARY KEY (day, site_id, contract_id, terms_on, provider_id, technology, village_code);
ALTER TABLE availability_day ADD COLUMN contract_unknown_s integer NOT NULL DEFAULT 0;
ALTER TABLE availability_day ALTER COLUMN contract_unknown_s DROP DEFAULT;
ALTER TABLE availability_day DROP CONSTRAINT ck_availability_day_never_negative;
ALTER TABLE availability_day ADD CONSTRAINT ck_availability_day_never_negative CHECK (least(
    up, degraded, down, unreachable, unknown, maintenance, inactive, outages, longest_outage_s, countable_down_s,
    contract_s, contract_unknown_s) >= 0)
"""


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE.split(";\n"):
        op.execute(statement)

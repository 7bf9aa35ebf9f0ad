"""Sites belong to contracts by day; what contracts count is rolled up (days counted before: again); degraded time may
count.
"""

from alembic import op

revision = "20261128_contracts_by_day"
down_revision = "20261128_pending_validity"
branch_labels = None
depends_on = None

# A day belongs to the contract that a site had at its end: the last change of a day decides for the whole of it.
UPGRADE = """
ALTER TABLE contract_terms ADD COLUMN degraded_counts boolean NOT NULL DEFAULT false;
CREATE TABLE site_contract (
    id serial CONSTRAINT pk_site_contract PRIMARY KEY,
    site_id integer NOT NULL CONSTRAINT fk_site_contract_site_id REFERENCES site (id),
    contract_id integer NOT NULL CONSTRAINT fk_site_contract_contract_id REFERENCES contract (id),
    link_role varchar(20) NOT NULL,
    started_on date NOT NULL,
    ended_on date,
    reason text,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL,
    changed_at timestamptz,
    changed_by text,
    withdrawn_at timestamptz,
    version bigint NOT NULL,
    CONSTRAINT ck_site_contract_days CHECK (ended_on > started_on),
    CONSTRAINT ex_site_contract_overlap EXCLUDE USING gist (
        site_id WITH =, link_role WITH =, daterange(started_on, ended_on) WITH &&) WHERE (withdrawn_at IS NULL)
);
CREATE INDEX ix_site_contract_contract_id ON site_contract (contract_id);
INSERT INTO site_contract (site_id, contract_id, link_role, started_on, ended_on, recorded_by, version)
    SELECT site_id, contract_id, link_role, min(started_on), nullif(max(ended_on), 'infinity'), 'system', max(version)
    FROM (
        SELECT *, count(*) FILTER (WHERE is_new) OVER (PARTITION BY site_id ORDER BY started_on) AS stretch FROM (
            SELECT *, lag(contract_id) OVER by_day IS DISTINCT FROM contract_id
                OR lag(ended_on) OVER by_day <> started_on AS is_new
            FROM (
                SELECT c.site_id, c.contract_id, s.link_role, s.version,
                    (c.started_at AT TIME ZONE 'Asia/Makassar')::date AS started_on,
                    coalesce((c.ended_at AT TIME ZONE 'Asia/Makassar')::date, 'infinity') AS ended_on
                FROM site_configuration c JOIN site s ON s.id = c.site_id
            ) days WHERE ended_on > started_on WINDOW by_day AS (PARTITION BY site_id ORDER BY started_on)
        ) changes
    ) stretches WHERE contract_id IS NOT NULL GROUP BY site_id, contract_id, link_role, stretch;
CREATE TABLE contract_day (
    day date NOT NULL,
    site_id integer NOT NULL CONSTRAINT fk_contract_day_site_id REFERENCES site (id),
    contract_id integer NOT NULL CONSTRAINT fk_contract_day_contract_id REFERENCES contract (id),
    terms_on date NOT NULL,
    provider_id integer NOT NULL CONSTRAINT fk_contract_day_provider_id REFERENCES provider (id),
    technology varchar(20) NOT NULL,
    village_code text NOT NULL,
    covered_s integer NOT NULL,
    service_s integer NOT NULL,
    good_s integer NOT NULL,
    counted_down_s integer NOT NULL,
    unknown_s integer NOT NULL,
    claimed_s integer NOT NULL,
    excluded jsonb NOT NULL,
    CONSTRAINT pk_contract_day PRIMARY KEY (day, site_id, contract_id, terms_on, provider_id, technology, village_code),
    CONSTRAINT ck_contract_day_seconds CHECK (
        least(good_s, counted_down_s, unknown_s, claimed_s) >= 0 AND service_s <= covered_s AND covered_s <= 86400)
);
CREATE INDEX ix_contract_day_contract_id_day ON contract_day (contract_id, day);
INSERT INTO stale_day (site_id, day)
    SELECT DISTINCT s.site_id, c.day FROM site_contract s
    JOIN counted_day c ON c.day >= s.started_on AND c.day < coalesce(s.ended_on, 'infinity')
    ON CONFLICT DO NOTHING
"""

DOWNGRADE = """
DROP TABLE contract_day;
DROP TABLE site_contract;
ALTER TABLE contract_terms DROP COLUMN degraded_counts
"""


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE.split(";\n"):
        op.execute(statement)

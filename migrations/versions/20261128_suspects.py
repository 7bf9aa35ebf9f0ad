"""A suspicion holds each site by itself; blind ranges and suspicions keep the canaries' evidence.

What an earlier suspicion excused stays excused, as a blind range that is named after it: the past is not rewritten.
"""

from alembic import op

revision = "20261128_suspects"
down_revision = "20261128_last_loss"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE blind ADD COLUMN evidence jsonb, DROP CONSTRAINT ck_blind_reason,
    ADD CONSTRAINT ck_blind_reason CHECK (reason IN ('uplink', 'stopped', 'clock', 'ingest', 'mass_outage'));
UPDATE blind b SET reason = 'mass_outage' FROM suspicion s
    WHERE s.upheld AND b.source = s.source AND b.started_at = s.started_at AND b.ended_at = s.ended_at;
INSERT INTO blind (source, started_at, ended_at, reason)
    SELECT s.source, s.started_at, greatest(s.detected_at, b.newest) + interval '1 second', 'mass_outage'
    FROM suspicion s, LATERAL (
        SELECT max(m.slot) AS newest FROM measurement m WHERE m.slot >= s.started_at AND m.source = s.source
    ) b WHERE s.ended_at IS NULL;
CREATE TABLE suspect (
    suspicion_id integer NOT NULL CONSTRAINT fk_suspect_suspicion_id REFERENCES suspicion (id),
    site_id integer NOT NULL CONSTRAINT fk_suspect_site_id REFERENCES site (id),
    started_at timestamptz NOT NULL,
    lost_at timestamptz NOT NULL,
    excused boolean,
    decided_at timestamptz,
    CONSTRAINT pk_suspect PRIMARY KEY (suspicion_id, site_id)
);
CREATE INDEX ix_suspect_site_id_lost_at ON suspect (site_id, lost_at);
CREATE INDEX ix_suspect_open ON suspect (site_id) WHERE excused IS NULL;
INSERT INTO suspect (suspicion_id, site_id, started_at, lost_at, excused, decided_at)
    SELECT s.id, member.id, s.started_at, s.detected_at, coalesce(s.upheld, true), coalesce(s.ended_at, s.detected_at)
    FROM suspicion s CROSS JOIN LATERAL unnest(s.sites) AS listed(id) JOIN site member ON member.id = listed.id;
ALTER TABLE suspicion ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN evidence jsonb;
UPDATE suspicion SET recorded_at = detected_at, ended_at = detected_at + interval '1 second';
ALTER TABLE suspicion ALTER COLUMN ended_at SET NOT NULL, DROP COLUMN detected_at, DROP COLUMN upheld, DROP COLUMN sites
"""

DOWNGRADE = """
ALTER TABLE suspicion ALTER COLUMN ended_at DROP NOT NULL, ADD COLUMN detected_at timestamptz,
    ADD COLUMN upheld boolean, ADD COLUMN sites integer[];
UPDATE suspicion s SET detected_at = ended_at, upheld = false, sites =
    ARRAY(SELECT site_id FROM suspect x WHERE x.suspicion_id = s.id ORDER BY 1);
ALTER TABLE suspicion ALTER COLUMN detected_at SET NOT NULL, ALTER COLUMN sites SET NOT NULL,
    DROP COLUMN recorded_at, DROP COLUMN evidence;
DROP TABLE suspect;
UPDATE blind SET reason = 'uplink' WHERE reason = 'mass_outage';
ALTER TABLE blind DROP COLUMN evidence, DROP CONSTRAINT ck_blind_reason,
    ADD CONSTRAINT ck_blind_reason CHECK (reason IN ('uplink', 'stopped', 'clock', 'ingest'))
"""


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE.split(";\n"):
        op.execute(statement)

"""A site's kind, probe and data budget are dated like its provider: a change of today leaves the past as it was."""

from alembic import op

revision = "20261128_dated_kind"
down_revision = "20261128_note_office"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE site_configuration
    ADD COLUMN kind varchar(20) NOT NULL DEFAULT 'access_point'
        CONSTRAINT ck_site_configuration_kind CHECK (kind IN ('access_point', 'node')),
    ADD COLUMN probe varchar(20) NOT NULL DEFAULT 'icmp'
        CONSTRAINT ck_site_configuration_probe CHECK (probe IN ('icmp', 'tcp', 'http', 'push')),
    ADD COLUMN speed_budget_mb integer
"""
# A change of the probe began a configuration of its own already, a change of the kind did not: the audit tells when.
SPLIT_AT_CHANGES = """
DO $$
DECLARE
    change record;
    configuration site_configuration;
BEGIN
    FOR change IN
        SELECT s.id AS site_id, date_trunc('second', a.at) AS at FROM audit a JOIN site s ON s.code = a.object_id
        WHERE a.object = 'site' AND jsonb_exists(a.before, 'kind') ORDER BY a.at, a.id
    LOOP
        SELECT * INTO configuration FROM site_configuration
        WHERE site_id = change.site_id AND started_at < change.at AND (ended_at IS NULL OR ended_at > change.at);
        IF FOUND THEN
            UPDATE site_configuration SET ended_at = change.at
            WHERE site_id = change.site_id AND started_at = configuration.started_at;
            configuration.started_at = change.at;
            INSERT INTO site_configuration SELECT configuration.*;
        END IF;
    END LOOP;
END $$
"""
CHANGE = """
    SELECT a.{side}->>'{field}' FROM audit a
    WHERE a.object = 'site' AND a.object_id = s.code AND jsonb_exists(a.before, '{field}')
        AND date_trunc('second', a.at) {compared} c.started_at
    ORDER BY a.at {order}, a.id {order} LIMIT 1
"""
BACKFILL = """
UPDATE site_configuration c SET {field} = coalesce(({before}), ({after}), s.{field}) FROM site s WHERE s.id = c.site_id
"""
# Where a kind changed, the past was counted by the kind of the time of counting.
CHANGED = "SELECT site_id FROM site_configuration GROUP BY site_id HAVING count(DISTINCT kind) > 1"
RECOUNT = f"""
INSERT INTO stale_day (site_id, day)
SELECT c.site_id, d.day FROM ({CHANGED}) c, counted_day d
WHERE d.day >= (SELECT min(started_at)::date FROM site_configuration f WHERE f.site_id = c.site_id)
ON CONFLICT DO NOTHING;
INSERT INTO stale_hour (site_id, hour)
SELECT site_id, min(hour) FROM rollup_hour WHERE site_id IN ({CHANGED})
GROUP BY site_id, (hour AT TIME ZONE 'Asia/Makassar')::date
ON CONFLICT DO NOTHING;
UPDATE change_counter SET version = version + 1 WHERE name IN ('past', 'rollup')
"""
NEVER_NEGATIVE = """
ALTER TABLE availability_day ADD CONSTRAINT ck_availability_day_never_negative CHECK (least(
    up, degraded, down, unreachable, unknown, maintenance, inactive, outages, longest_outage_s, countable_down_s,
    contract_s, contract_unknown_s) >= 0);
ALTER TABLE region_availability_day ADD CONSTRAINT ck_region_availability_day_never_negative CHECK (least(
    up, degraded, down, unreachable, unknown, maintenance, outages, longest_outage_s, countable_down_s,
    contract_s) >= 0);
ALTER TABLE outage_part ADD CONSTRAINT ck_outage_part_never_negative CHECK (seconds >= 0)
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(SPLIT_AT_CHANGES)
    for field in ("kind", "probe"):
        before = CHANGE.format(side="after", field=field, compared="<=", order="DESC")
        after = CHANGE.format(side="before", field=field, compared=">", order="ASC")
        op.execute(BACKFILL.format(field=field, before=before, after=after))
    op.execute("UPDATE site_configuration c SET speed_budget_mb = s.speed_budget_mb FROM site s WHERE s.id = c.site_id")
    for statement in (*RECOUNT.split(";\n"), *NEVER_NEGATIVE.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    for table in ("availability_day", "region_availability_day", "outage_part"):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_never_negative")
    op.execute("ALTER TABLE site_configuration DROP COLUMN kind, DROP COLUMN probe, DROP COLUMN speed_budget_mb")

"""Latency by hour, day and region: mergeable histograms; how far they are counted, and which hours anew."""

from alembic import op

revision = "20261124_rollups"
down_revision = "20261124_availability"
branch_labels = None
depends_on = None

# `bucket` and `upto`: the histogram's buckets in order, and how many packets fell into it or below.
FIGURES = """
    rtt_sum bigint,
    jitter_sum bigint,
    sent {count} NOT NULL,
    received {count} NOT NULL,
    jitter_count {count},
    rtt_min integer,
    rtt_max integer,
    bucket smallint[] NOT NULL,
    upto {count}[] NOT NULL,
"""

TABLES = f"""
CREATE INDEX ix_measurement_slot ON measurement USING brin (slot) WITH (autosummarize = on);

CREATE TABLE rollup_watermark (
    stage text CONSTRAINT pk_rollup_watermark PRIMARY KEY
        CONSTRAINT ck_rollup_watermark_stage CHECK (stage IN ('closed', 'hours', 'days')),
    upto timestamptz NOT NULL,
    site_id integer NOT NULL DEFAULT 0
);
INSERT INTO rollup_watermark (stage, upto)
SELECT stage, date_trunc(CASE stage WHEN 'days' THEN 'day' ELSE 'hour' END, first, 'Asia/Makassar')
FROM (SELECT coalesce(min(slot), now()) AS first FROM measurement) m, unnest(ARRAY['closed', 'hours', 'days']) AS stage;

CREATE TABLE stale_hour (
    site_id integer NOT NULL,
    hour timestamptz NOT NULL,
    CONSTRAINT pk_stale_hour PRIMARY KEY (site_id, hour)
);

CREATE TABLE rollup_hour (
    hour timestamptz NOT NULL,
    {FIGURES.format(count="integer")}
    site_id integer NOT NULL,
    CONSTRAINT pk_rollup_hour PRIMARY KEY (site_id, hour)
);

CREATE TABLE rollup_day (
    {FIGURES.format(count="integer")}
    day date NOT NULL,
    site_id integer NOT NULL,
    CONSTRAINT pk_rollup_day PRIMARY KEY (site_id, day)
);

CREATE TABLE region_day (
    {FIGURES.format(count="bigint")}
    day date NOT NULL,
    provider_id integer NOT NULL,
    region_code text NOT NULL,
    technology varchar(20) NOT NULL,
    CONSTRAINT pk_region_day PRIMARY KEY (region_code, day, provider_id, technology)
);

CREATE TABLE region_month (
    {FIGURES.format(count="bigint")}
    month date NOT NULL,
    provider_id integer NOT NULL,
    region_code text NOT NULL,
    technology varchar(20) NOT NULL,
    CONSTRAINT pk_region_month PRIMARY KEY (region_code, month, provider_id, technology)
);
"""

DROPPED = """
DROP TABLE region_month;
DROP TABLE region_day;
DROP TABLE rollup_day;
DROP TABLE rollup_hour;
DROP TABLE stale_hour;
DROP TABLE rollup_watermark;
DROP INDEX ix_measurement_slot;
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for statement in DROPPED.split(";\n"):
        if statement.strip():
            op.execute(statement)

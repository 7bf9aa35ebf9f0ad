"""Looks within fixed round-trip times, by hour and day; a published method's samples, append-only."""

from alembic import op

revision = "20261128_looks"
down_revision = "20261128_open_data"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE look_hour (
        site_id integer NOT NULL,
        hour timestamptz NOT NULL,
        looks integer NOT NULL,
        lost integer NOT NULL,
        within integer[] NOT NULL,
        CONSTRAINT pk_look_hour PRIMARY KEY (site_id, hour)
    )
    """,
    """
    CREATE TABLE look_day (
        site_id integer NOT NULL,
        day date NOT NULL,
        looks integer NOT NULL,
        lost integer NOT NULL,
        within integer[] NOT NULL,
        evening_looks integer NOT NULL,
        evening_lost integer NOT NULL,
        evening_within integer[] NOT NULL,
        CONSTRAINT pk_look_day PRIMARY KEY (site_id, day)
    )
    """,
    "ALTER TABLE rollup_watermark DROP CONSTRAINT ck_rollup_watermark_stage",
    """
    ALTER TABLE rollup_watermark ADD CONSTRAINT ck_rollup_watermark_stage
        CHECK (stage IN ('closed', 'hours', 'days', 'looks'))
    """,
    # Counting begins with the oldest readings that are kept: the worker does it, a day at a time.
    """
    INSERT INTO rollup_watermark (stage, upto)
    SELECT 'looks', date_trunc('day', now() - interval '400 days', 'Asia/Makassar')
    """,
    """
    CREATE TABLE compliance_sample (
        period text CONSTRAINT pk_compliance_sample PRIMARY KEY,
        method text NOT NULL,
        public_text text NOT NULL,
        public_source text NOT NULL,
        seed text NOT NULL,
        starts_on date NOT NULL,
        ends_on date NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        recorded_by text NOT NULL
    )
    """,
    """
    CREATE TABLE compliance_sampled_site (
        period text NOT NULL
            CONSTRAINT fk_compliance_sampled_site_period REFERENCES compliance_sample (period),
        site_id integer NOT NULL CONSTRAINT fk_compliance_sampled_site_site_id REFERENCES site (id),
        provider_id integer NOT NULL CONSTRAINT fk_compliance_sampled_site_provider_id REFERENCES provider (id),
        technology varchar(20) NOT NULL,
        village_code text NOT NULL,
        of_sites integer NOT NULL,
        rank integer NOT NULL,
        CONSTRAINT pk_compliance_sampled_site PRIMARY KEY (period, site_id)
    )
    """,
    *(
        f"CREATE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in ("compliance_sample", "compliance_sampled_site")
    ),
)
DROPPED = (
    "DROP TABLE compliance_sampled_site",
    "DROP TABLE compliance_sample",
    "DELETE FROM rollup_watermark WHERE stage = 'looks'",
    "ALTER TABLE rollup_watermark DROP CONSTRAINT ck_rollup_watermark_stage",
    """
    ALTER TABLE rollup_watermark ADD CONSTRAINT ck_rollup_watermark_stage
        CHECK (stage IN ('closed', 'hours', 'days'))
    """,
    "DROP TABLE look_day",
    "DROP TABLE look_hour",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in DROPPED:
        op.execute(statement)

"""Certificates of a line: 24 h of measurements of a site, numbered and immutable once done; speed tests made for them."""

from alembic import op

revision = "20261128_certificates"
down_revision = "20261128_reports"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE certificate (
        id SERIAL NOT NULL,
        site_id INTEGER NOT NULL,
        village_code TEXT NOT NULL,
        provider_id INTEGER NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz NOT NULL,
        status VARCHAR(20) DEFAULT 'running' NOT NULL,
        follows_id INTEGER,
        requested_at timestamptz NOT NULL,
        requested_by TEXT NOT NULL,
        verify_code TEXT NOT NULL,
        number TEXT,
        data TEXT,
        sha256 TEXT,
        method TEXT,
        results JSONB,
        done_at timestamptz,
        CONSTRAINT pk_certificate PRIMARY KEY (id),
        CONSTRAINT uq_certificate_number UNIQUE (number),
        CONSTRAINT uq_certificate_verify_code UNIQUE (verify_code),
        CONSTRAINT fk_certificate_site_id FOREIGN KEY(site_id) REFERENCES site (id),
        CONSTRAINT fk_certificate_village_code FOREIGN KEY(village_code) REFERENCES region (code),
        CONSTRAINT fk_certificate_provider_id FOREIGN KEY(provider_id) REFERENCES provider (id),
        CONSTRAINT fk_certificate_follows_id FOREIGN KEY(follows_id) REFERENCES certificate (id),
        CONSTRAINT ck_certificate_day CHECK (ended_at = started_at + interval '24 hours'),
        CONSTRAINT ck_certificate_whole_once_done CHECK (
            (status = 'done') = (
                number IS NOT NULL AND data IS NOT NULL AND sha256 IS NOT NULL AND method IS NOT NULL
                AND results IS NOT NULL AND done_at IS NOT NULL
            )
        ),
        CONSTRAINT ex_certificate_overlap
            EXCLUDE USING gist (site_id WITH =, tstzrange(started_at, ended_at) WITH &&)
    )
    """,
    "CREATE INDEX ix_certificate_running ON certificate (ended_at) WHERE status = 'running'",
    """
    CREATE TRIGGER tr_certificate_immutable BEFORE UPDATE OR DELETE ON certificate
        FOR EACH ROW WHEN (OLD.status = 'done') EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE FUNCTION keep_certificates() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM certificate WHERE status = 'done') THEN
            RAISE EXCEPTION 'certificates are kept: TRUNCATE refused';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tr_certificate_kept BEFORE TRUNCATE ON certificate
        FOR EACH STATEMENT EXECUTE FUNCTION keep_certificates()
    """,
    "ALTER TABLE certificate ENABLE ALWAYS TRIGGER tr_certificate_immutable",
    "ALTER TABLE certificate ENABLE ALWAYS TRIGGER tr_certificate_kept",
    "ALTER TABLE throughput_test ADD COLUMN for_certificate BOOLEAN DEFAULT false NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE throughput_test DROP COLUMN for_certificate")
    op.execute("DROP TABLE certificate")
    op.execute("DROP FUNCTION keep_certificates()")

"""Reports: berita acara as data sets, numbered once issued and then immutable; the provider's objections."""

from alembic import op

revision = "20261128_reports"
down_revision = "20261128_reviews"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE report (
        id SERIAL NOT NULL,
        contract_id INTEGER NOT NULL,
        period TEXT NOT NULL,
        kind VARCHAR(20) NOT NULL,
        status VARCHAR(20) DEFAULT 'draft' NOT NULL,
        number TEXT,
        corrects_id INTEGER,
        reason TEXT,
        objections_until timestamptz NOT NULL,
        no_objections_at timestamptz,
        no_objections_by TEXT,
        data TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        method TEXT NOT NULL,
        totals JSONB NOT NULL,
        village_codes TEXT[] NOT NULL,
        basis TEXT NOT NULL,
        changes JSONB DEFAULT '[]' NOT NULL,
        verify_code TEXT NOT NULL,
        drafted_at timestamptz DEFAULT now() NOT NULL,
        drafted_by TEXT NOT NULL,
        issued_at timestamptz,
        issued_by TEXT,
        version BIGINT DEFAULT 1 NOT NULL,
        CONSTRAINT pk_report PRIMARY KEY (id),
        CONSTRAINT uq_report_number UNIQUE (number),
        CONSTRAINT uq_report_verify_code UNIQUE (verify_code),
        CONSTRAINT uq_report_corrects_id UNIQUE (corrects_id),
        CONSTRAINT fk_report_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id),
        CONSTRAINT fk_report_corrects_id FOREIGN KEY(corrects_id) REFERENCES report (id),
        CONSTRAINT ck_report_numbered_once_issued CHECK (
            (status = 'issued') = (number IS NOT NULL AND issued_at IS NOT NULL AND issued_by IS NOT NULL)
        )
    )
    """,
    "CREATE UNIQUE INDEX uq_report_draft ON report (contract_id, period) WHERE status = 'draft'",
    "CREATE UNIQUE INDEX uq_report_first ON report (contract_id, period) WHERE corrects_id IS NULL",
    """
    CREATE TABLE report_number (
        series TEXT NOT NULL,
        last INTEGER NOT NULL,
        CONSTRAINT pk_report_number PRIMARY KEY (series)
    )
    """,
    """
    CREATE TABLE report_objection (
        id SERIAL NOT NULL,
        report_id INTEGER NOT NULL,
        no INTEGER NOT NULL,
        site TEXT,
        outage_started_at timestamptz,
        text TEXT NOT NULL,
        evidence TEXT,
        filed_at timestamptz DEFAULT now() NOT NULL,
        filed_by TEXT NOT NULL,
        decision VARCHAR(20),
        decision_text TEXT,
        decided_at timestamptz,
        decided_by TEXT,
        CONSTRAINT pk_report_objection PRIMARY KEY (id),
        CONSTRAINT uq_report_objection_report_id_no UNIQUE (report_id, no),
        CONSTRAINT fk_report_objection_report_id FOREIGN KEY(report_id) REFERENCES report (id)
    )
    """,
    """
    CREATE TRIGGER tr_report_immutable BEFORE UPDATE OR DELETE ON report
        FOR EACH ROW WHEN (OLD.status = 'issued') EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER tr_report_kept BEFORE TRUNCATE ON report FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE FUNCTION refuse_objection() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM report WHERE status = 'issued' AND id IN (
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.report_id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.report_id END
        )) THEN
            RAISE EXCEPTION 'the report is issued: % of an objection refused', TG_OP;
        END IF;
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END $$
    """,
    """
    CREATE TRIGGER tr_report_objection_immutable BEFORE INSERT OR UPDATE OR DELETE ON report_objection
        FOR EACH ROW EXECUTE FUNCTION refuse_objection()
    """,
    "ALTER TABLE report ENABLE ALWAYS TRIGGER tr_report_immutable",
    "ALTER TABLE report ENABLE ALWAYS TRIGGER tr_report_kept",
    "ALTER TABLE report_objection ENABLE ALWAYS TRIGGER tr_report_objection_immutable",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE report_objection, report_number, report")
    op.execute("DROP FUNCTION refuse_objection")

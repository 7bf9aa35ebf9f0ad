"""The survey of two questions, and the decisions of quarterly reviews."""

from alembic import op

revision = "20261128_reviews"
down_revision = "20261128_looks"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE survey_day (
        village_code text NOT NULL,
        day date NOT NULL,
        benefit integer NOT NULL,
        cost integer NOT NULL,
        answers integer NOT NULL,
        CONSTRAINT pk_survey_day PRIMARY KEY (village_code, day, benefit, cost),
        CONSTRAINT ck_survey_day_scale CHECK (benefit BETWEEN 1 AND 5 AND cost BETWEEN 1 AND 5)
    )
    """,
    "CREATE INDEX ix_survey_day_day ON survey_day (day)",
    """
    CREATE TABLE survey_source (
        day date NOT NULL,
        source bytea NOT NULL,
        village_code text NOT NULL,
        CONSTRAINT pk_survey_source PRIMARY KEY (day, source, village_code)
    )
    """,
    """
    CREATE TABLE survey_salt (
        day date CONSTRAINT pk_survey_salt PRIMARY KEY,
        salt bytea NOT NULL
    )
    """,
    """
    CREATE TABLE review_decision (
        id serial CONSTRAINT pk_review_decision PRIMARY KEY,
        period text NOT NULL,
        text text NOT NULL,
        decided_by text NOT NULL,
        decided_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ix_review_decision_period ON review_decision (period)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("review_decision", "survey_salt", "survey_source", "survey_day"):
        op.execute(f"DROP TABLE {table}")

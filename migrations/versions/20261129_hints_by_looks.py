"""Outages may be suggested to be of a device or of a pulled cable, by what the site's device saw near itself."""

from alembic import op

revision = "20261129_hints_by_looks"
down_revision = "20261129_visit_flaws"
branch_labels = None
depends_on = None

REPLACE = """
    ALTER TABLE incident DROP CONSTRAINT ck_incident_cause_hint, ADD CONSTRAINT ck_incident_cause_hint
        CHECK (cause_hint IN ({causes})) NOT VALID
"""
VALIDATE = "ALTER TABLE incident VALIDATE CONSTRAINT ck_incident_cause_hint"


def upgrade() -> None:
    op.execute(REPLACE.format(causes="'link', 'provider', 'power', 'device', 'unplugged'"))
    op.execute(VALIDATE)


def downgrade() -> None:
    op.execute("UPDATE incident SET cause_hint = NULL WHERE cause_hint IN ('device', 'unplugged')")
    op.execute(REPLACE.format(causes="'link', 'provider', 'power'"))
    op.execute(VALIDATE)

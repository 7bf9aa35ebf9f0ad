"""A note belongs to the office that wrote it, and may be addressed to one provider. Older ones are for offices alone."""

from alembic import op

revision = "20261128_note_office"
down_revision = "20261128_claimed_seconds"
branch_labels = None
depends_on = None

# The audit knows who wrote a note; where it does not, the note was readable by every office and stays so.
UPGRADE = """
ALTER TABLE incident_note
    ADD COLUMN region_code text CONSTRAINT fk_incident_note_region_code REFERENCES region (code),
    ADD COLUMN provider_id integer CONSTRAINT fk_incident_note_provider_id REFERENCES provider (id);
UPDATE incident_note n SET region_code = coalesce(t.region_code, c.region_code)
    FROM audit a LEFT JOIN token t ON t.id = a.token_id LEFT JOIN account c ON c.id = a.account_id
    WHERE a.object = 'incident' AND a.action = 'note' AND cast(a.after ->> 'note_id' AS bigint) = n.id;
UPDATE incident_note SET region_code = '64' WHERE region_code IS NULL;
ALTER TABLE incident_note ALTER COLUMN region_code SET NOT NULL
"""


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE incident_note DROP COLUMN region_code, DROP COLUMN provider_id")

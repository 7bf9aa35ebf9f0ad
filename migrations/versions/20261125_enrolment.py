"""Enrolment: a token is in force once its agent came with it, a code may be fetched again until then."""

from alembic import op

revision = "20261125_enrolment"
down_revision = "20261125_field"
branch_labels = None
depends_on = None

KIND = (
    "ALTER TABLE device_token DROP CONSTRAINT ck_device_token_kind, "
    "ADD CONSTRAINT ck_device_token_kind CHECK (kind IN ({}))"
)
KINDS = "'routeros', 'openwrt', 'linux', 'windows'"


def upgrade() -> None:
    op.execute("ALTER TABLE device_token ADD COLUMN used_at timestamptz")
    op.execute(KIND.format(f"{KINDS}, 'own'"))
    op.execute(
        "ALTER TABLE enrolment ADD COLUMN withdrawn_at timestamptz, ADD COLUMN fetches integer NOT NULL DEFAULT 0"
    )
    op.execute("ALTER TABLE device ADD COLUMN measures boolean")


def downgrade() -> None:
    op.execute("ALTER TABLE device DROP COLUMN measures")
    op.execute("ALTER TABLE enrolment DROP COLUMN withdrawn_at, DROP COLUMN fetches")
    op.execute("UPDATE device_token SET kind = NULL WHERE kind = 'own'")
    op.execute(KIND.format(KINDS))
    op.execute("ALTER TABLE device_token DROP COLUMN used_at")

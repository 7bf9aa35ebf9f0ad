"""How far packs of hours are merged into packs of days."""

from alembic import op

revision = "20261129_day_packs"
down_revision = "20261128_reading_packs"
branch_labels = None
depends_on = None

CHECK = (
    "ALTER TABLE rollup_watermark DROP CONSTRAINT ck_rollup_watermark_stage, "
    "ADD CONSTRAINT ck_rollup_watermark_stage CHECK (stage IN ({stages}))"
)
STAGES = "'closed', 'hours', 'days', 'looks', 'packing', 'packed'"


def upgrade() -> None:
    op.execute(CHECK.format(stages=f"{STAGES}, 'day_packs'"))
    op.execute("INSERT INTO rollup_watermark (stage, upto) VALUES ('day_packs', '2026-01-01 00:00+08')")


def downgrade() -> None:
    op.execute("DELETE FROM rollup_watermark WHERE stage = 'day_packs'")
    op.execute(CHECK.format(stages=STAGES))

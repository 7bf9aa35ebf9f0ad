"""Latency by hour, day and region: mergeable histograms."""

from alembic import op

revision = "20261124_rollups"
down_revision = "20261124_availability"
branch_labels = None
depends_on = None

TABLES = """
"""

DROPPED = """
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for statement in DROPPED.split(";\n"):
        if statement.strip():
            op.execute(statement)

"""What devices see near themselves (gateway, terminal, carrier), their interface's rates, and deferred speed tests."""

from alembic import op

revision = "20261129_near_looks"
down_revision = "20261129_configuration_version"
branch_labels = None
depends_on = None

CREATE = """
    CREATE TABLE near_look (
        site_id integer NOT NULL CONSTRAINT fk_near_look_site_id REFERENCES site (id),
        slot timestamptz NOT NULL,
        lost boolean NOT NULL,
        lan boolean,
        terminal boolean,
        carrier boolean,
        CONSTRAINT pk_near_look PRIMARY KEY (site_id, slot)
    )
"""
INDEX = "CREATE INDEX ix_near_look_slot ON near_look USING brin (slot)"
DEVICE = """
    ALTER TABLE device ADD COLUMN near_at timestamptz, ADD COLUMN lan boolean, ADD COLUMN terminal boolean,
        ADD COLUMN carrier boolean, ADD COLUMN rx_bps bigint, ADD COLUMN tx_bps bigint, ADD COLUMN rates_at timestamptz
"""
DEFERRED = """
    ALTER TABLE throughput_test ADD COLUMN deferrals integer NOT NULL DEFAULT 0, ADD COLUMN deferred_at timestamptz,
        ADD COLUMN deferred_rx_bps bigint, ADD COLUMN deferred_tx_bps bigint
"""


def upgrade() -> None:
    for statement in (CREATE, INDEX, DEVICE, DEFERRED):
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE throughput_test DROP COLUMN deferrals, DROP COLUMN deferred_at, DROP COLUMN deferred_rx_bps, "
        "DROP COLUMN deferred_tx_bps"
    )
    op.execute(
        "ALTER TABLE device DROP COLUMN near_at, DROP COLUMN lan, DROP COLUMN terminal, DROP COLUMN carrier, "
        "DROP COLUMN rx_bps, DROP COLUMN tx_bps, DROP COLUMN rates_at"
    )
    op.execute("DROP TABLE near_look")

"""What terminals, routers and providers' systems say of a site's link, and where it differs from the ledger."""

from alembic import op

revision = "20261129_telemetry"
down_revision = "20261129_presence"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE telemetry_account (
        id serial CONSTRAINT pk_telemetry_account PRIMARY KEY,
        provider_id integer NOT NULL
            CONSTRAINT fk_telemetry_account_provider_id REFERENCES provider (id),
        name text NOT NULL CONSTRAINT uq_telemetry_account_name UNIQUE,
        base_url text NOT NULL,
        client_id text NOT NULL,
        secret bytea NOT NULL,
        asked_at timestamptz,
        answered_at timestamptz,
        taken_until timestamptz,
        batches bigint NOT NULL DEFAULT 0,
        rows bigint NOT NULL DEFAULT 0,
        late bigint NOT NULL DEFAULT 0,
        bytes bigint NOT NULL DEFAULT 0,
        unassigned text[] NOT NULL DEFAULT '{}',
        failures integer NOT NULL DEFAULT 0,
        problem text,
        retry_at timestamptz,
        version bigint NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE telemetry_source (
        id serial CONSTRAINT pk_telemetry_source PRIMARY KEY,
        site_id integer NOT NULL CONSTRAINT fk_telemetry_source_site_id REFERENCES site (id),
        kind varchar(20) NOT NULL,
        witness varchar(20) NOT NULL,
        account_id integer
            CONSTRAINT fk_telemetry_source_account_id REFERENCES telemetry_account (id),
        device_id text,
        host text,
        port integer,
        interface integer,
        interface_name text,
        snmp_version varchar(20),
        secret bytea,
        last_key text,
        said_at timestamptz,
        read_at timestamptz,
        next_at timestamptz,
        failures integer NOT NULL DEFAULT 0,
        problem text,
        created_by text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_telemetry_source_site_id_kind UNIQUE (site_id, kind),
        CONSTRAINT uq_telemetry_source_account_id_device_id UNIQUE (account_id, device_id),
        CONSTRAINT ck_telemetry_source_account CHECK ((kind = 'starlink_account') = (account_id IS NOT NULL)),
        CONSTRAINT ck_telemetry_source_snmp CHECK ((kind = 'snmp') = (host IS NOT NULL AND secret IS NOT NULL))
    )
    """,
    """
    CREATE TABLE telemetry_stretch (
        site_id integer NOT NULL CONSTRAINT fk_telemetry_stretch_site_id REFERENCES site (id),
        kind varchar(20) NOT NULL,
        started_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        witness varchar(20) NOT NULL,
        state varchar(20) NOT NULL,
        cause text,
        samples integer NOT NULL,
        widest_gap_s integer NOT NULL,
        booted_at timestamptz,
        alerts text[] NOT NULL DEFAULT '{}',
        figures jsonb NOT NULL DEFAULT '{}',
        heard_at timestamptz NOT NULL,
        CONSTRAINT pk_telemetry_stretch PRIMARY KEY (site_id, kind, started_at)
    )
    """,
    "CREATE INDEX ix_telemetry_stretch_seen_at ON telemetry_stretch (seen_at)",
    """
    CREATE TABLE telemetry_gap (
        id bigserial CONSTRAINT pk_telemetry_gap PRIMARY KEY,
        account_id integer NOT NULL
            CONSTRAINT fk_telemetry_gap_account_id REFERENCES telemetry_account (id) ON DELETE CASCADE,
        started_at timestamptz NOT NULL,
        ended_at timestamptz,
        reason varchar(20) NOT NULL,
        found_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_telemetry_gap_account_id_started_at ON telemetry_gap (account_id, started_at)",
    """
    CREATE TABLE telemetry_disagreement (
        site_id integer NOT NULL CONSTRAINT fk_telemetry_disagreement_site_id REFERENCES site (id),
        kind varchar(20) NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz NOT NULL,
        witness varchar(20) NOT NULL,
        said varchar(20) NOT NULL,
        CONSTRAINT pk_telemetry_disagreement PRIMARY KEY (site_id, kind, started_at)
    )
    """,
    "CREATE INDEX ix_telemetry_disagreement_ended_at ON telemetry_disagreement (ended_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("disagreement", "gap", "stretch", "source", "account"):
        op.execute(f"DROP TABLE telemetry_{table}")

"""Alerts: channels and rules of offices, announcements written with what they announce, and what was delivered."""

from alembic import op

revision = "20261128_alerts"
down_revision = "20261128_kept_upload"
branch_labels = None
depends_on = None

STATEMENTS = (
    "INSERT INTO change_counter VALUES ('alert', 0)",
    """
    CREATE TABLE channel (
        id SERIAL NOT NULL,
        region_code TEXT NOT NULL,
        provider_id INTEGER,
        name TEXT NOT NULL,
        service TEXT NOT NULL,
        target BYTEA NOT NULL,
        target_hint TEXT NOT NULL,
        secret BYTEA,
        language TEXT DEFAULT 'id' NOT NULL,
        form VARCHAR(20) DEFAULT 'long' NOT NULL,
        fallback_id INTEGER,
        created_at timestamptz DEFAULT now() NOT NULL,
        created_by TEXT NOT NULL,
        paused_at timestamptz,
        deleted_at timestamptz,
        failures INTEGER DEFAULT '0' NOT NULL,
        retry_at timestamptz,
        accepted_at timestamptz,
        problem TEXT,
        version BIGINT NOT NULL,
        CONSTRAINT pk_channel PRIMARY KEY (id),
        CONSTRAINT fk_channel_region_code FOREIGN KEY(region_code) REFERENCES region (code),
        CONSTRAINT fk_channel_provider_id FOREIGN KEY(provider_id) REFERENCES provider (id),
        CONSTRAINT fk_channel_fallback_id FOREIGN KEY(fallback_id) REFERENCES channel (id)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_channel_name ON channel (region_code, name) WHERE deleted_at IS NULL
    """,
    """
    CREATE TABLE alert_rule (
        id SERIAL NOT NULL,
        region_code TEXT NOT NULL,
        name TEXT NOT NULL,
        kinds TEXT[] NOT NULL,
        within TEXT NOT NULL,
        technologies TEXT[] NOT NULL,
        provider_ids BIGINT[] NOT NULL,
        least_s INTEGER NOT NULL,
        degraded_hours INTEGER NOT NULL,
        quiet_from INTEGER,
        quiet_to INTEGER,
        keeps_power_hours BOOLEAN NOT NULL,
        escalate_after_min INTEGER,
        escalate_beyond_sites INTEGER,
        escalate_to TEXT,
        remind_at INTEGER,
        muted_until timestamptz,
        channel_ids BIGINT[] NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        created_by TEXT NOT NULL,
        deleted_at timestamptz,
        version BIGINT NOT NULL,
        CONSTRAINT pk_alert_rule PRIMARY KEY (id),
        CONSTRAINT fk_alert_rule_region_code FOREIGN KEY(region_code) REFERENCES region (code),
        CONSTRAINT fk_alert_rule_within FOREIGN KEY(within) REFERENCES region (code),
        CONSTRAINT fk_alert_rule_escalate_to FOREIGN KEY(escalate_to) REFERENCES region (code)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_alert_rule_name ON alert_rule (region_code, name) WHERE deleted_at IS NULL
    """,
    """
    CREATE TABLE alert_group (
        id BIGSERIAL NOT NULL,
        channel_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        opened_at timestamptz DEFAULT now() NOT NULL,
        notified_at timestamptz,
        notifications INTEGER DEFAULT '0' NOT NULL,
        updates INTEGER DEFAULT '0' NOT NULL,
        sites_told INTEGER DEFAULT '0' NOT NULL,
        seen_version BIGINT DEFAULT '0' NOT NULL,
        cleared_at timestamptz,
        recurred_at timestamptz[] DEFAULT '{}' NOT NULL,
        flapping_since timestamptz,
        due_at timestamptz,
        closed_at timestamptz,
        CONSTRAINT pk_alert_group PRIMARY KEY (id),
        CONSTRAINT fk_alert_group_channel_id FOREIGN KEY(channel_id) REFERENCES channel (id)
    )
    """,
    """
    CREATE INDEX ix_alert_group_open ON alert_group (channel_id, key) WHERE closed_at IS NULL
    """,
    """
    CREATE TABLE notification (
        id BIGSERIAL NOT NULL,
        key UUID NOT NULL,
        channel_id INTEGER NOT NULL,
        region_code TEXT NOT NULL,
        group_id BIGINT,
        kind VARCHAR(20) NOT NULL,
        created_at timestamptz DEFAULT now() NOT NULL,
        content JSONB NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        state VARCHAR(20) DEFAULT 'queued' NOT NULL,
        attempts INTEGER DEFAULT '0' NOT NULL,
        next_attempt_at timestamptz DEFAULT now() NOT NULL,
        settled_at timestamptz,
        receiver_id TEXT,
        http_status INTEGER,
        problem TEXT,
        fallback_of BIGINT,
        acknowledged_at timestamptz,
        acknowledged_by TEXT,
        CONSTRAINT pk_notification PRIMARY KEY (id),
        CONSTRAINT fk_notification_channel_id FOREIGN KEY(channel_id) REFERENCES channel (id),
        CONSTRAINT fk_notification_region_code FOREIGN KEY(region_code) REFERENCES region (code),
        CONSTRAINT fk_notification_group_id FOREIGN KEY(group_id) REFERENCES alert_group (id),
        CONSTRAINT fk_notification_fallback_of FOREIGN KEY(fallback_of) REFERENCES notification (id)
    )
    """,
    """
    CREATE INDEX ix_notification_channel_id_created_at ON notification (channel_id, created_at, id)
    """,
    """
    CREATE INDEX ix_notification_created_at_id ON notification (created_at, id)
    """,
    """
    CREATE INDEX ix_notification_fallback_of ON notification (fallback_of) WHERE fallback_of IS NOT NULL
    """,
    """
    CREATE INDEX ix_notification_group_id ON notification (group_id)
    """,
    """
    CREATE INDEX ix_notification_key ON notification (key)
    """,
    """
    CREATE INDEX ix_notification_queued ON notification (channel_id, next_attempt_at) WHERE state = 'queued'
    """,
    """
    CREATE TABLE announcement (
        id BIGSERIAL NOT NULL,
        subject TEXT NOT NULL,
        incident_id INTEGER,
        kind VARCHAR(20) NOT NULL,
        region_code TEXT NOT NULL,
        channel_id INTEGER NOT NULL,
        version BIGINT NOT NULL,
        rule_id INTEGER,
        created_at timestamptz DEFAULT now() NOT NULL,
        due_at timestamptz NOT NULL,
        hold_reason VARCHAR(20),
        state VARCHAR(20) DEFAULT 'pending' NOT NULL,
        drop_reason VARCHAR(20),
        facts JSONB,
        settled_at TIMESTAMP WITH TIME ZONE,
        group_id BIGINT,
        notification_id BIGINT,
        CONSTRAINT pk_announcement PRIMARY KEY (id),
        CONSTRAINT fk_announcement_incident_id FOREIGN KEY(incident_id) REFERENCES incident (id),
        CONSTRAINT fk_announcement_region_code FOREIGN KEY(region_code) REFERENCES region (code),
        CONSTRAINT fk_announcement_channel_id FOREIGN KEY(channel_id) REFERENCES channel (id),
        CONSTRAINT fk_announcement_rule_id FOREIGN KEY(rule_id) REFERENCES alert_rule (id),
        CONSTRAINT fk_announcement_group_id FOREIGN KEY(group_id) REFERENCES alert_group (id),
        CONSTRAINT fk_announcement_notification_id FOREIGN KEY(notification_id) REFERENCES notification (id)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_announcement ON announcement
        (subject, kind, region_code, channel_id, version, coalesce(facts ->> 'of', ''))
    """,
    """
    CREATE INDEX ix_announcement_unsettled ON announcement (kind, version)
        WHERE incident_id IS NULL AND settled_at IS NULL AND state <> 'dropped' AND kind NOT IN ('recovered', 'withdrawn')
    """,
    """
    CREATE INDEX ix_announcement_group_id ON announcement (group_id)
    """,
    """
    CREATE INDEX ix_announcement_incident_id ON announcement (incident_id)
    """,
    """
    CREATE INDEX ix_announcement_notification_id ON announcement (notification_id)
    """,
    """
    CREATE INDEX ix_announcement_pending ON announcement (due_at) WHERE state = 'pending'
    """,
    """
    CREATE TABLE delivery_attempt (
        id BIGSERIAL NOT NULL,
        notification_id BIGINT NOT NULL,
        started_at timestamptz NOT NULL,
        took_ms INTEGER NOT NULL,
        outcome VARCHAR(20) NOT NULL,
        http_status INTEGER,
        problem TEXT,
        CONSTRAINT pk_delivery_attempt PRIMARY KEY (id),
        CONSTRAINT fk_delivery_attempt_notification_id FOREIGN KEY(notification_id) REFERENCES notification (id)
    )
    """,
    """
    CREATE INDEX ix_delivery_attempt_notification_id ON delivery_attempt (notification_id)
    """,
    """
    CREATE TABLE courier_beat (
        id INTEGER NOT NULL,
        beat_at timestamptz NOT NULL,
        started_at timestamptz NOT NULL,
        CONSTRAINT pk_courier_beat PRIMARY KEY (id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE courier_beat, delivery_attempt, announcement, notification, alert_group, alert_rule, channel")
    op.execute("DELETE FROM change_counter WHERE name = 'alert'")

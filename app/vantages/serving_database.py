"""Which database an answer comes from, as probers are told: another timeline is a standby that was promoted."""

# A checkpoint may name an older timeline for minutes after a promotion; the WAL that is being written does not.
DATABASE = """
    (SELECT system_identifier FROM pg_control_system()) || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
"""

"""The fields that hold a person: kept out of lists, exports, messages, logs and the audit. Only these do."""

PERSONAL = frozenset({"contact_name", "contact_phone"})
MASK = "***"

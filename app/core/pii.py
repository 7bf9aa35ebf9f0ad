"""The fields that hold personal data: kept out of lists, exports, messages, logs and the audit."""

PERSONAL = frozenset({"contact_name", "contact_phone"})
MASK = "***"

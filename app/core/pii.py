"""The fields that hold personal data or secrets: kept out of lists, exports, messages, logs and the audit."""

PERSONAL = frozenset({"contact_name", "contact_phone"})
SECRET = frozenset({"password", "current_password", "new_password", "token", "grant", "secret"})
HIDDEN = PERSONAL | SECRET  # not repeated in messages
MASK = "***"

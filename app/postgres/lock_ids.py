"""The advisory locks of a database, in one list: two that were the same would wait for each other."""

_OURS = 0x53494E59_0000

MIGRATION = _OURS + 0x01
WORKER = _OURS + 0x02
COURIER = _OURS + 0x03
ACCOUNTS = _OURS + 0x04
PUBLISHING = _OURS + 0x17
SHARDS = _OURS + 0x100  # and as many after it as there may be shards (app/judging/shards.py)
SERIAL_JUDGING = _OURS + 0x200
WORKERS = _OURS + 0x201  # shared by all that judge shards

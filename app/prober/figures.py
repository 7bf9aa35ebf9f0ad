"""What a prober counts about itself: sent with every beat. Nothing is decided by it."""

from dataclasses import asdict, dataclass


@dataclass
class ProberFigures:
    """Names that `WorkerCounters` has mean the same."""

    sites: int = 0
    rounds: int = 0
    readings: int = 0
    faults: int = 0
    overruns: int = 0
    sweep_seconds: float = 0.0
    sweep_late_seconds: float = 0.0
    missed_slots: int = 0
    buffered_readings: int = 0
    dropped_readings: int = 0
    canary_beats: int = 0
    canary_silences: int = 0
    clock_steps: int = 0
    deliveries: int = 0
    failed_deliveries: int = 0
    delivered_readings: int = 0  # accepted, or there already
    rejected_readings: int = 0  # of blocks that the server refused
    resent_blocks: int = 0
    spool_readings: int = 0
    spool_bytes: int = 0
    spool_lost: int = 0
    spool_durable: int = 1  # 0: the disk takes nothing, what is read waits in memory
    spools_damaged: int = 0
    echo_sent: int = 0
    echo_received: int = 0
    echo_drops: int = 0

    def as_dict(self) -> dict[str, int | float]:
        return asdict(self)

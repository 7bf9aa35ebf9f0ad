"""What the worker counts about itself: told with every beat, shown in /metrics."""

from dataclasses import asdict, dataclass


@dataclass
class Figures:
    sites: int = 0
    rounds: int = 0  # batches of looks sent off
    readings: int = 0
    faults: int = 0  # readings of which we failed to look
    overruns: int = 0  # rounds that took longer than their packets could
    misfires: int = 0  # ticks of a job that came too late to run
    missed_slots: int = 0  # slots nobody looked in
    repeated_slots: int = 0  # slots taken twice because the wall clock stepped back
    writes: int = 0
    failed_writes: int = 0
    buffered_readings: int = 0
    dropped_readings: int = 0
    canary_beats: int = 0
    canary_silences: int = 0
    clock_steps: int = 0
    echo_sent: int = 0
    echo_received: int = 0
    echo_duplicates: int = 0
    echo_late: int = 0
    echo_foreign: int = 0
    echo_malformed: int = 0
    echo_drops: int = 0
    echo_send_errors: int = 0
    echo_in_flight: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

"""What the worker counts about itself: told with every beat, shown in /metrics."""

from dataclasses import asdict, dataclass, field
from typing import Any


def counted(what: str) -> Any:
    """It only grows, from the worker's start."""
    return field(default=0, metadata={"what": what, "grows": True})


def current(what: str) -> Any:
    return field(default=0, metadata={"what": what, "grows": False})


@dataclass
class Figures:
    sites: int = current("Sites that are looked at from here")
    rounds: int = counted("Batches of looks sent off")
    readings: int = counted("Readings taken")
    faults: int = counted("Readings of which we failed to look")
    overruns: int = counted("Rounds that took longer than their packets could")
    misfires: int = counted("Ticks of a job that came too late to run")
    missed_slots: int = counted("Slots nobody looked in")
    repeated_slots: int = counted("Slots taken twice because the wall clock stepped back")
    writes: int = counted("Batches written to the database")
    failed_writes: int = counted("Batches that the database did not take")
    buffered_readings: int = current("Readings that wait for the database, or for the word of a canary")
    buffer_limit_readings: int = current("How many may wait: beyond it the oldest are dropped")
    dropped_readings: int = counted("Readings lost because the buffer was full, or refused by the database")
    canary_beats: int = counted("Beats to the canaries")
    canary_silences: int = counted("Beats that no canary answered")
    clock_steps: int = counted("Steps of the wall clock")
    echo_sent: int = counted("Echo requests sent")
    echo_received: int = counted("Echo replies that were awaited")
    echo_duplicates: int = counted("Echo replies that came twice")
    echo_late: int = counted("Echo replies that came after their timeout")
    echo_foreign: int = counted("Echo replies to somebody else, or from another address than was asked")
    echo_malformed: int = counted("Packets that were no echo replies")
    echo_drops: int = counted("Packets that the kernel dropped before we could read them")
    echo_send_errors: int = counted("Echo requests that could not be sent")
    echo_in_flight: int = current("Echo requests that await their reply")
    pushes: int = counted("Pushes of devices taken in")
    pushed_rows: int = counted("Readings that they brought")
    refused_pushes: int = counted("Pushes that the ledger did not take, set aside in the inbox")
    failed_intakes: int = counted("Attempts to take pushes in that failed")
    closed_rows: int = counted("Pushed readings that came later than single readings are kept")
    inbox_age_seconds: int = current("So many seconds the last push that was taken in had waited")
    silences: int = counted("Pushes that were due and did not come while they could have")
    own_beats_sent: int = counted("Beats of our own sent the way that devices go")
    own_beats_heard: int = counted("Of them, those that arrived where devices' do")
    ingest_proven: int = current("Whether ingest is proven to hear devices: only then silence counts")
    canaries: dict[str, int] = field(default_factory=dict)  # by address: whether it answered the last beat

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

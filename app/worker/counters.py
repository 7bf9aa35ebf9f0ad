"""What the worker counts about itself: stored with every beat, shown in /metrics. Nothing is decided by it."""

from dataclasses import asdict, dataclass, field
from typing import Any


def counter(help_text: str) -> Any:
    """A number that only grows, from the worker's start."""
    return field(default=0, metadata={"help": help_text, "is_counter": True})


def gauge(help_text: str) -> Any:
    """A number as of the last beat."""
    return field(default=0, metadata={"help": help_text, "is_counter": False})


@dataclass
class WorkerCounters:
    """The names are keys of `worker_beat.figures` and parts of metric names."""

    sites: int = gauge("Sites probed from here")
    rounds: int = counter("Sweeps started")
    readings: int = counter("Readings taken by probing")
    faults: int = counter("Probes that failed on our side")
    overruns: int = counter("Sweeps that took longer than their packets could")
    misfires: int = counter("Runs of a job skipped because they would have started too late")
    sweep_seconds: float = gauge("Seconds that the last sweep took")
    sweep_late_seconds: float = gauge("Of them, those beyond what its packets and timeouts take at most")
    judged_at_once: int = counter("Readings that left their site up, judged as columns")
    missed_slots: int = counter("Slots in which no probe was sent")
    repeated_slots: int = counter("Slots probed twice because the wall clock was set back")
    writes: int = counter("Write transactions committed")
    failed_writes: int = counter("Write transactions that failed")
    buffered_readings: int = gauge("Readings waiting for the database, or for a canary's answer")
    buffer_limit_readings: int = gauge("Readings the buffer holds at most: beyond it the oldest are dropped")
    dropped_readings: int = counter("Readings lost because the buffer was full, or rejected")
    dropped_blind_ranges: int = counter("Blind ranges rejected")
    canary_beats: int = counter("Rounds of probes sent to the canaries")
    canary_silences: int = counter("Rounds that no canary answered")
    clock_steps: int = counter("Steps of the wall clock")
    echo_sent: int = counter("Echo requests sent")
    echo_received: int = counter("Echo replies to our requests, within their timeout")
    echo_duplicates: int = counter("Echo replies received twice")
    echo_late: int = counter("Echo replies received after their timeout")
    echo_foreign: int = counter("Echo replies to another process, or from another address than was probed")
    echo_malformed: int = counter("Packets that were no echo replies")
    echo_drops: int = counter("Packets dropped by the kernel before they were read")
    echo_send_errors: int = counter("Echo requests that could not be sent")
    echo_in_flight: int = gauge("Echo requests waiting for their reply")
    pushes: int = counter("Pushes of devices processed")
    pushed_rows: int = counter("Readings recorded from pushes")
    refused_pushes: int = counter("Pushes rejected and set aside in the inbox")
    failed_intakes: int = counter("Attempts to process pushes that failed")
    corrupt_packs: int = gauge("Packs of readings found corrupt since the worker's start")
    corrupt_packs_since: float = gauge("When the first of them was found, in seconds since 1970; 0: none was")
    closed_rows: int = counter("Pushed readings older than the raw readings kept")
    prober_blocks: int = counter("Blocks of probers judged")
    prober_readings: int = counter("Readings in them")
    refused_prober_blocks: int = counter("Blocks of probers rejected and set aside in the inbox")
    prober_inbox_age_seconds: int = gauge("Inbox latency of the most recently judged block of a prober, in seconds")
    inbox_age_seconds: int = gauge("Inbox latency of the most recently processed push, in seconds")
    silences: int = counter("Pushes that were due and missed while ingest was proven alive")
    own_beats_sent: int = counter("Heartbeats of our own sent to the push endpoint")
    own_beats_heard: int = counter("Of them, those received through the inbox")
    ingest_proven: int = gauge("Whether ingest is proven alive: only then does a missed push count")
    canaries: dict[str, int] = field(default_factory=dict)  # by address: whether it answered the last beat
    vantage_sites: dict[str, int] = field(default_factory=dict)  # by number, of vantages with probers of their own
    prober_sites: dict[str, int] = field(default_factory=dict)  # by id, of probers that run by themselves

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

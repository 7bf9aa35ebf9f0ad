"""Metrics of vantages and of probers that run by themselves, by number: whoever scrapes needs no token."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.vantages.prober_facts import ProberFacts, VantageFacts

OF_PROBERS: tuple[tuple[str, str, Callable[[ProberFacts], float | None]], ...] = (
    ("live", "1 while it was heard within its lease", lambda prober: prober.is_live),
    ("silent_seconds", "Seconds since it was heard", lambda prober: prober.silent_s),
    ("blind", "1 while none of its canaries answers", lambda prober: prober.blind_since is not None),
    ("clock_offset_seconds", "Our clock minus its machine's", lambda prober: _seconds(prober.clock_offset_ms)),
    ("sites", "Sites assigned to it", lambda prober: prober.sites),
    ("spooled_readings", "Readings that it has not delivered yet", lambda prober: prober.spooled),
    ("spool_age_seconds", "Age of the oldest of them, in seconds", lambda prober: prober.spool_age_s or 0),
    ("spool_lost", "Readings it dropped because its spool was full", lambda prober: prober.spool_lost),
)
COUNTED: tuple[tuple[str, str, Callable[[ProberFacts], float]], ...] = (
    ("readings", "Readings acknowledged", lambda prober: prober.readings),
    ("rejected_readings", "Readings refused", lambda prober: prober.rejected),
    ("superseded", "Processes that another one with the same token replaced", lambda prober: prober.superseded),
)


def prober_metrics(vantages: Sequence[VantageFacts]) -> Iterator[Metric]:
    """Return nothing while there is only the built-in prober."""
    probers = [prober for vantage in vantages for prober in vantage.probers]
    watched = [vantage for vantage in vantages if vantage.sites or vantage.probers]
    if not watched:
        return
    sites = GaugeMetricFamily("sinyal_vantage_sites", "Sites looked at from a vantage", labels=["vantage"])
    live = GaugeMetricFamily("sinyal_vantage_live_probers", "Probers there that are heard", labels=["vantage"])
    for vantage in watched:
        sites.add_metric([str(vantage.number)], vantage.sites)
        live.add_metric([str(vantage.number)], sum(prober.is_live for prober in vantage.probers))
    yield sites
    yield live
    for family, rows in ((GaugeMetricFamily, OF_PROBERS), (CounterMetricFamily, COUNTED)):
        for name, what, value_of in rows:
            metric = family(f"sinyal_prober_{name}", what, labels=["prober", "vantage"])
            for prober in probers:
                if (value := value_of(prober)) is not None:
                    metric.add_metric([str(prober.id), str(prober.vantage)], value)
            yield metric


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000

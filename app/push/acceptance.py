"""What the pushes of one transaction come to, in the order of receipt. Pure: the caller has locked the receipts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.push import backlog, dedupe, device_values, source_addresses
from app.push.dedupe import PushResult, Receipt, ReceiptKey, ReceivedPush
from app.push.inbox import Delivery
from app.push.last_push import LastPush
from app.push.near_rows import NearState, choose_looks
from app.push.source_addresses import Sighting
from app.push.timestamps import PushSite
from probes.contract import Reading


@dataclass(slots=True)
class AcceptedPushes:
    """`receipts` and `last_pushes` (by site) are kept up to date; all else is to be stored."""

    receipts: dict[ReceiptKey, Receipt]
    last_pushes: dict[int, LastPush]
    deliveries: list[Delivery] = field(default_factory=list)
    devices: dict[int, dict[str, Any]] = field(default_factory=dict)  # rows of `device`, by site
    near_looks: list[dict[str, Any]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)

    def add(self, received: ReceivedPush) -> PushResult:
        site = received.site
        if site is None:
            self.deliveries.append(Delivery.heartbeat(received.received_at))
            return PushResult()
        last = self.last_pushes.get(site.site_id)
        result, readings = dedupe.accept_rows(received, site, self.receipts, last)
        self.deliveries += backlog.deliveries_of(received, site.site_id, readings, last)
        looks, near = choose_looks(site.site_id, received.rows, readings, last and last.near)
        self.near_looks += looks
        self._note_device(received, site, result, readings, near)
        sighting = source_addresses.sighting(received, site, last)
        self.sightings += [sighting] if sighting else []
        self.last_pushes[site.site_id] = dedupe.next_last_push(
            received, site, last, stored_address=sighting is not None, near=near
        )
        return result

    def _note_device(
        self,
        received: ReceivedPush,
        site: PushSite,
        result: PushResult,
        readings: Sequence[Reading],
        near: NearState | None,
    ) -> None:
        unheard_boot = dedupe.detect_unheard_boot(received, site, self.receipts, readings)
        second_agent = dedupe.detect_second_agent(received, site, self.receipts, self.last_pushes.get(site.site_id))
        values = device_values.device_values(
            received, site, result, second_agent=second_agent, unheard_boot=unheard_boot, near=near
        )
        self.devices[site.site_id] = device_values.merge(self.devices.get(site.site_id), values)

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.alerts.content import Content, ToldPlace
from app.alerts.models import Channel, DeliveryAttempt, Notification, NotificationKind
from app.core.clock import utc_now
from app.core.sealing import Sealer
from app.courier.deliverer import Deliverer
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.postgres.work_signals import Work, announce
from app.runtime.migrate import migrate
from app.settings import AlertsSettings, Settings
from tests.conftest import drop_database, make_database
from tests.support.alerts import AlertDesk

KEY = "k" * 32
EMPTY = text("TRUNCATE delivery_attempt, announcement, notification, alert_group, alert_rule, channel CASCADE")


@pytest.fixture(scope="package")
async def courier_engine(server_url: str) -> AsyncIterator[AsyncEngine]:
    """Of a database of its own: a courier has connections of its own, which see only what is committed."""
    url = await make_database(server_url)
    engine = open_engine(url, name="test", pool_size=10)
    await migrate(engine)
    yield engine
    await engine.dispose()
    await drop_database(url, server_url)


@dataclass
class CourierDesk:
    """Channels and notifications as offices have them, and a courier that delivers."""

    sessions: Sessions
    settings: Settings
    deliverer: Deliverer

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.settings.secret_key)

    async def channel(self, url: str, service: str = "webhook", secret: str | None = None, **changes: Any) -> int:
        sealed = None if secret is None else self.sealer.seal(secret)
        values = {"service": service, "target": self.sealer.seal(url), "secret": sealed, "name": url, **changes}
        return await AlertDesk(self.sessions, made=hash(url) % 1000).channel(**values)

    async def notify(self, channel_id: int, title: str = "Putus", **changes: Any) -> int:
        kind = changes.get("kind", NotificationKind.ONSET)
        office = ToldPlace(code="64.02", name="Kabupaten Kutai Kartanegara")
        content = Content(kind=kind, at=utc_now(), office=office).model_dump(mode="json")
        values = {"kind": kind, "content": content, "text": f"{title}: Loa Duri Ilir", "key": uuid4(), **changes}
        async with transaction(self.sessions) as session:
            notification = Notification(channel_id=channel_id, region_code="64.02", title=title, **values)
            session.add(notification)
            await announce(session, Work.DELIVERIES)
        return notification.id

    async def run(self) -> None:
        """Deliver what is due now, and wait until that is over."""
        await self.deliverer.start_due()
        await self.deliverer.idle()

    async def sweep(self) -> None:
        await self.deliverer.give_up()
        await self.deliverer.hand_over()

    async def retry(self, **channel: Any) -> None:
        """Let all channels be tried again now."""
        async with transaction(self.sessions) as session:
            await session.execute(update(Channel).values(retry_at=None, **channel))
        await self.run()

    async def get(self, notification_id: int) -> Notification:
        async with transaction(self.sessions) as session:
            return (await session.scalars(select(Notification).where(Notification.id == notification_id))).one()

    async def state(self, notification_id: int) -> str:
        return (await self.get(notification_id)).state.value

    async def key(self, notification_id: int) -> UUID:
        return (await self.get(notification_id)).key

    async def of_channel(self, channel_id: int) -> Channel:
        async with transaction(self.sessions) as session:
            return (await session.scalars(select(Channel).where(Channel.id == channel_id))).one()

    async def attempts(self, notification_id: int) -> list[DeliveryAttempt]:
        query = select(DeliveryAttempt).where(DeliveryAttempt.notification_id == notification_id)
        async with transaction(self.sessions) as session:
            return list(await session.scalars(query.order_by(DeliveryAttempt.id)))

    async def age(self, notification_id: int, to: datetime) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(update(Notification).where(Notification.id == notification_id).values(created_at=to))


@pytest.fixture
async def courier(courier_engine: AsyncEngine) -> AsyncIterator[CourierDesk]:
    settings = Settings(
        secret_key=[KEY], alerts=AlertsSettings(allow=["127.0.0.0/8"]), public_url="https://sinyal.example.go.id"
    )
    sessions = open_sessions(courier_engine)
    async with transaction(sessions) as session:
        await session.execute(EMPTY)
    deliverer = Deliverer(sessions, settings)
    yield CourierDesk(sessions, settings, deliverer)
    await deliverer.stop()


@pytest.fixture
def policy() -> Any:
    return Settings(alerts=AlertsSettings(allow=["127.0.0.0/8"])).receiver_policy

"""Planned, running, past or cancelled: as a condition of a query, and of a window at hand."""

from datetime import datetime

from sqlalchemy import ColumnElement

from app.availability.models import MaintenanceWindow
from app.maintenance.schemas import Status


def has(status: Status, now: datetime) -> ColumnElement[bool]:
    window = MaintenanceWindow
    if status is Status.CANCELLED:
        return window.cancelled_at.is_not(None)
    when = {
        Status.PLANNED: window.started_at > now,
        Status.RUNNING: (window.started_at <= now) & (window.ended_at > now),
        Status.PAST: window.ended_at <= now,
    }[status]
    return window.cancelled_at.is_(None) & when


def status_of(window: MaintenanceWindow, now: datetime) -> Status:
    if window.cancelled_at is not None:
        return Status.CANCELLED
    if window.started_at > now:
        return Status.PLANNED
    return Status.RUNNING if window.ended_at > now else Status.PAST

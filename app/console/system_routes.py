"""Sistem: whether monitoring itself works, what each part of it does, and whose data budget ends."""

import asyncio

from fastapi import Response

from app.console.page import Console, page_router

router = page_router()

BUDGETS, BLIND_RANGES = 10, 20  # listed on the page


@router.get("/system")
async def show_system(console: Console) -> Response:
    system, budgets, blind = await asyncio.gather(
        console.api.get("/system"),
        console.api.get("/throughput/budgets", limit=BUDGETS),
        console.api.get("/blind-ranges", period="7d", limit=BLIND_RANGES),
    )
    return console.page("system.html", system=system, budgets=budgets, blind=blind)

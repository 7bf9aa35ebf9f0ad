"""Saluran: through which receivers an office, or a provider that it tells, is told."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from app.access.scope import PROVINCE
from app.console import choices
from app.console.api_client import ApiProblem
from app.console.channel_form import FIELDS, changed_channel, in_words_of, new_channel, url_examples
from app.console.page import Console, ConsoleRequest, page_router
from app.core.errors import NotAllowed

router = page_router()

PAGE = 200
NEW = {"language": "id", "form": "long", "default_rules": "1"}


@router.get("/channels")
async def show_channels(console: Console, cursor: str = "") -> Response:
    channels = await console.api.get("/channels", cursor=cursor, limit=PAGE)
    return console.page("channels.html", channels=channels, is_later=bool(cursor), **await _names(console))


@router.get("/channels/new")
async def show_new_channel(console: Console) -> Response:
    if not console.may("write"):
        raise NotAllowed("Role {role} only reads", values={"role": console.caller.role.value})
    return await _new(console, NEW)


@router.post("/channels/new")
async def create_channel(console: Console) -> Response:
    """Create it; of a webhook show the secret of its signature, this once."""
    form = await console.form()
    try:
        channel = await console.api.post("/channels", new_channel(form))
    except ApiProblem as problem:
        return await _new(console, form, problem)
    if channel["secret"]:
        return console.page("channel_secret.html", channel=channel, status=201)
    return console.redirect(f"/channels/{channel['id']}", notice="saved")


@router.get("/channels/{channel_id}")
async def show_channel(console: Console, channel_id: str) -> Response:
    return await _page(console, channel_id)


@router.post("/channels/{channel_id}")
async def change_channel(console: Console, channel_id: str) -> Response:
    """Save what differs, pause it, or let it go on."""
    form = await console.form()
    channel = await console.api.get(f"/channels/{channel_id}")
    action = form.get("do", "save")
    changes = {"paused": action == "pause"} if action in {"pause", "resume"} else changed_channel(channel, form)
    if not changes:
        return console.redirect(f"/channels/{channel['id']}", notice="nothing_changed")
    try:
        changed = await console.api.patch(f"/channels/{channel_id}", changes, version=form.get("version"))
    except ApiProblem as problem:
        return await _page(console, channel_id, problem, form)
    if changed["secret"]:
        return console.page("channel_secret.html", channel=changed)
    return console.redirect(f"/channels/{channel['id']}", notice="saved")


@router.post("/channels/{channel_id}/test")
async def send_test(console: Console, channel_id: str) -> Response:
    """Send a test message, and show how its delivery goes."""
    await console.form()
    try:
        notification = await console.api.post(f"/channels/{channel_id}/test")
    except ApiProblem as problem:
        if problem.status not in {409, 429}:
            raise
        return await _page(console, channel_id, problem)
    return console.redirect(f"/notifications/{notification['id']}", notice="test_sent")


@router.post("/channels/{channel_id}/delete")
async def delete_channel(console: Console, channel_id: str) -> Response:
    await console.form()
    try:
        await console.api.delete(f"/channels/{channel_id}")
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        return await _page(console, channel_id, problem)
    return console.redirect("/channels", notice="channel_deleted")


async def _page(
    console: ConsoleRequest, channel_id: str, problem: ApiProblem | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    channel = await console.api.get(f"/channels/{channel_id}")
    of_office = await console.api.get("/channels", region=channel["office"], limit=PAGE)
    others = [
        (each["id"], each["name"])
        for each in of_office["items"]
        if each["office"] == channel["office"] and each["id"] != channel["id"]
    ]
    rules = await console.api.get("/rules", channel=channel["id"], limit=PAGE)
    return console.page(
        "channel.html",
        status=problem.status if problem else 200,
        channel=channel,
        others=others,
        rules=rules["items"],
        values={
            **channel,
            "url": "",
            **(typed or {}),
            "fallback": (typed or {}).get("fallback", channel["fallback"] or ""),
        },
        problem=problem and in_words_of(problem, console.language),
        fields=FIELDS,
        url_examples=url_examples(console.language),
        **await _names(console),
    )


async def _new(console: ConsoleRequest, values: Mapping[str, str], problem: ApiProblem | None = None) -> Response:
    own = console.caller.region_code
    channels = await console.api.get("/channels", limit=PAGE)
    return console.page(
        "channel_new.html",
        status=problem.status if problem else 200,
        values={**dict.fromkeys((*FIELDS, "default_rules"), ""), **values},
        problem=problem and in_words_of(problem, console.language),
        fields=FIELDS,
        url_examples=url_examples(console.language),
        offices=await offices(console) if own == PROVINCE else [],
        others=[(each["id"], f"{each['name']} ({each['office_name']})") for each in channels["items"]],
        providers=await choices.providers(console.api),
    )


async def offices(console: ConsoleRequest) -> choices.Choices:
    """Return the province's office and those of its districts."""
    listed = await console.api.get("/regions", level="kabupaten_kota", limit=PAGE)
    return [(PROVINCE, console.text("the province")), *((each["code"], each["name"]) for each in listed["items"])]


async def _names(console: ConsoleRequest) -> dict[str, Any]:
    return {"provider_names": dict(await choices.providers(console.api))}

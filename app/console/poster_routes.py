"""A site's poster: the address of the page that measures, as a QR code beside the Wi-Fi."""

from fastapi import Response
from markupsafe import Markup

from app.agents.installation import public_url
from app.console.page import Console, page_router
from app.documents.qr import qr_svg
from app.public.addresses import MEASURE

router = page_router()


@router.get("/sites/{ident}/poster")
async def show_poster(console: Console, ident: str) -> Response:
    site = await console.api.get(f"/sites/{ident}")
    request = console.request
    page = public_url(request.app.state.settings, str(request.base_url)) + MEASURE
    qr = Markup(qr_svg(f"{page}#{site['code']}"))  # noqa: S704  # drawn by us
    return console.page("poster.html", site=site, page=page.partition("://")[2], qr=qr)

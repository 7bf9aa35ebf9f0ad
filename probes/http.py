"""HTTP probe: one GET, measured from the first packet to the first byte of the response. Follows no redirects."""

import asyncio
import errno
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from probes import outcomes
from probes.contract import Reading, Target
from probes.urls import host_of_url

EXPIRY_WARNING_DAYS = 21

_LOCAL_ERRNOS = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EADDRNOTAVAIL,
    errno.EACCES,
    errno.EPERM,
    errno.ENETUNREACH,
}


def open_client(tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Open the client that all probes share.

    Without proxies of the environment, which would carry a probe past the policy, and without cookies and kept
    connections, which would make one reading depend on another.
    """
    return httpx.AsyncClient(
        verify=True if tls is None else tls,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 (each probe has its target's)
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": "sinyal-desa", "Accept-Encoding": "identity", "Connection": "close"},
    )


def host_of(target: Target) -> str | None:
    """Return the host of the target's URL; None if it is none that may be fetched."""
    return host_of_url(target.url)


async def probe(target: Target, address: str, client: httpx.AsyncClient) -> Reading:
    """Connect to `address`, already checked by the policy; Host, SNI and certificate remain those of the URL's name.

    A status of 500 or more is a timeout, with the status as its reason. The body is not read.
    """
    started = time.monotonic_ns()
    try:
        async with asyncio.timeout(target.timeout_s):
            response = await client.send(request_to(address, target.url or "", client), stream=True)
    except TimeoutError:
        return outcomes.timed_out(target, started)
    except httpx.HTTPError as error:
        return _failed(target, error)
    elapsed = time.monotonic_ns() - started
    warning = _expiry_warning(response)
    await response.aclose()
    if response.status_code >= 500:
        return outcomes.unanswered(target, reason=f"status {response.status_code}")
    return outcomes.answered(target, [elapsed], reason=warning)


def request_to(address: str, url: str, client: httpx.AsyncClient, **headers: str) -> httpx.Request:
    """Return a GET of `url` that connects to `address`, with the Host and SNI of the URL."""
    named = httpx.URL(url)
    return client.build_request(
        "GET",
        named.copy_with(host=address),
        headers={"Host": named.netloc.decode("ascii"), **headers},
        extensions={"sni_hostname": named.raw_host.decode("ascii")},
    )


def _failed(target: Target, error: httpx.HTTPError) -> Reading:
    for cause in cause_chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return outcomes.unanswered(target, reason=f"certificate: {cause.verify_message}")
        if isinstance(cause, ConnectionRefusedError):
            return outcomes.unanswered(target, reason="refused")
        if isinstance(cause, OSError) and cause.errno in _LOCAL_ERRNOS:
            return outcomes.fault(target, f"cannot connect: {cause.strerror}")
    return outcomes.unanswered(target, reason=str(error).lower() or type(error).__name__)


def cause_chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _expiry_warning(response: httpx.Response) -> str | None:
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    if tls is None:
        return None
    expiry = datetime.fromtimestamp(ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]), UTC)
    if (expiry - datetime.now(UTC)).days >= EXPIRY_WARNING_DAYS:
        return None
    return f"certificate expires {expiry:%Y-%m-%d}"

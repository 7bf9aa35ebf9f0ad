"""Reads one interface of a router over SNMP, v2c or v3: state, counters and speed with one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from cachetools import LRUCache
from pysnmp.hlapi.v3arch.asyncio import (
    USM_AUTH_HMAC96_SHA,
    USM_AUTH_HMAC192_SHA256,
    USM_PRIV_CFB128_AES,
    USM_PRIV_NONE,
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    Udp6TransportTarget,
    UdpTransportTarget,
    UsmUserData,
    get_cmd,
)

from probes.snmp_access import SnmpUser
from probes.telemetry import LinkState, Telemetry

PORT = 161
ANSWER_S, RETRIES = 3.0, 1
MAX_ENGINES = 64  # each has its sockets

UPTIME = "1.3.6.1.2.1.1.3.0"  # sysUpTime, hundredths of a second
NAME, IN, OUT, SPEED = (f"1.3.6.1.2.1.31.1.1.1.{column}" for column in (1, 6, 10, 15))  # ifXTable
ADMIN_STATUS, OPER_STATUS = "1.3.6.1.2.1.2.2.1.7", "1.3.6.1.2.1.2.2.1.8"  # ifTable

OPER_STATES = {1: LinkState.UP, 2: LinkState.DOWN, 5: LinkState.DOWN, 6: LinkState.DOWN, 7: LinkState.DOWN}
OPER_CAUSES = {2: "interface_down", 5: "dormant", 6: "not_present", 7: "lower_layer_down"}
SWITCHED_OFF = 2  # ifAdminStatus
AUTH = {"sha": USM_AUTH_HMAC96_SHA, "sha256": USM_AUTH_HMAC192_SHA256}


class SnmpProblem(Exception):
    """It was not read: `no_answer`, `refused`, `no_such_interface`."""


@dataclass(frozen=True, slots=True)
class SnmpTarget:
    """`address` is checked by the policy; `access`: the community of v2c, or the user of v3."""

    address: str
    interface: int  # ifIndex
    access: str | SnmpUser
    port: int = PORT


class SnmpReader:
    """An engine for each access: an engine holds one key for a user's name."""

    def __init__(self, *, answer_s: float = ANSWER_S) -> None:
        self._answer_s = answer_s
        self._engines: LRUCache[str | SnmpUser, Any] = _Engines(MAX_ENGINES)

    async def read(self, target: SnmpTarget) -> Telemetry:
        """Raises SnmpProblem."""
        engine = self._engines.get(target.access)
        if engine is None:
            engine = self._engines[target.access] = SnmpEngine()
        columns = [f"{oid}.{target.interface}" for oid in (OPER_STATUS, ADMIN_STATUS, NAME, IN, OUT, SPEED)]
        asked = [ObjectType(ObjectIdentity(oid)) for oid in (UPTIME, *columns)]
        transport = UdpTransportTarget if ip_address(target.address).version == 4 else Udp6TransportTarget
        try:
            to = await transport.create((target.address, target.port), timeout=self._answer_s, retries=RETRIES)
            problem, status, _, answer = await get_cmd(
                engine, _access(target.access), to, ContextData(), *asked, lookupMib=False
            )
        except Exception as error:
            self._engines.pop(target.access, None)
            raise SnmpProblem(f"unexpected: {type(error).__name__}") from None
        if problem:
            self._engines.pop(target.access, None)  # a router that was replaced is met anew
            raise SnmpProblem("no_answer" if type(problem).__name__ == "RequestTimedOut" else "refused")
        if int(status):
            raise SnmpProblem("refused")
        return _telemetry([_number_or_text(value) for _, value in answer])

    def close(self) -> None:
        self._engines.clear()


class _Engines(LRUCache[Any, Any]):
    """Closes the sockets of an engine that it drops."""

    def __delitem__(self, key: Any) -> None:
        engine = self.get(key)
        super().__delitem__(key)
        if engine is not None:
            engine.close_dispatcher()

    def pop(self, key: Any, default: Any = None) -> Any:
        if key in self:
            del self[key]
        return default

    def clear(self) -> None:
        for key in [*self]:
            del self[key]


def _access(access: str | SnmpUser) -> Any:
    if isinstance(access, str):
        return CommunityData(access, mpModel=1)  # noqa: S508  # many routers know no v3
    return UsmUserData(
        access.name,
        authKey=access.auth_key,
        privKey=access.priv_key,
        authProtocol=AUTH[access.auth],
        privProtocol=USM_PRIV_CFB128_AES if access.priv_key else USM_PRIV_NONE,
    )


def _number_or_text(value: Any) -> int | str | None:
    """Return None for an object that the router does not have, or gives as something else than such objects are."""
    if type(value).__name__ == "OctetString":
        return str(value.prettyPrint())[:60]
    try:
        return int(value)
    except (TypeError, ValueError):  # an address, an identifier; NoSuchObject, Null
        return None


def _telemetry(values: Sequence[int | str | None]) -> Telemetry:
    numbers = [value if isinstance(value, int) else None for value in values]
    uptime, oper, admin, _, octets_in, octets_out, speed = numbers
    if oper is None:
        raise SnmpProblem("no_such_interface")
    is_off = admin == SWITCHED_OFF
    return Telemetry(
        device=str(values[3] or ""),
        at=datetime.now(UTC).replace(microsecond=0),
        state=LinkState.DOWN if is_off else OPER_STATES.get(oper, LinkState.UNKNOWN),
        cause="switched_off" if is_off else OPER_CAUSES.get(oper),
        uptime_s=None if uptime is None else uptime // 100,
        octets_in=octets_in,
        octets_out=octets_out,
        speed_mbps=speed,
    )

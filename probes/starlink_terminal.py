"""Reads what a Starlink terminal answers on its own network (gRPC, 192.168.100.1:9200, `get_status`). Pure.

An agent posts REQUEST to PATH over HTTP/2 and passes the answer on as it is. Of the answer only the fields below are
read; where the terminal stands and where it points to are not among them. The numbers are those that terminals tell by
gRPC reflection.
"""

import struct
from datetime import datetime

from probes import protobuf_wire as wire
from probes.telemetry import LinkState, Telemetry, fraction, milliseconds, whole

PATH = "/SpaceX.API.Device.Device/Handle"
REQUEST = bytes.fromhex("0000000003e23e00")  # a frame of 3 bytes: field 1004, `get_status`, empty
MAX_ANSWER = 8_192  # bytes; terminals answer with 600 to 1,500

FRAME = struct.Struct(">BI")  # compressed or not, length
DISH_STATUS = 2004  # of the response
DEVICE_INFO, DEVICE_STATE, DROP_RATE, OBSTRUCTION, ALERTS, LATENCY_MS, OUTAGE = 1, 2, 1003, 1004, 1005, 1009, 1014
DISABLEMENT = 1024
ID, UPTIME_S, OBSTRUCTED_FRACTION, OBSTRUCTED_NOW, CAUSE = 1, 1, 1, 5, 1  # within those

ALERT_NAMES = (
    (1, "motors_stuck"),
    (2, "thermal_shutdown"),
    (3, "thermal_throttle"),
    (4, "unexpected_location"),
    (5, "mast_not_near_vertical"),
    (6, "slow_ethernet_speeds"),
    (7, "roaming"),
    (8, "install_pending"),
    (9, "is_heating"),
    (10, "power_supply_thermal_throttle"),
    (11, "is_power_save_idle"),
    (12, "moving_while_not_mobile"),
    (15, "moving_too_fast_for_policy"),
    (16, "low_motor_current"),
    (17, "lower_signal_than_predicted"),
    (18, "slow_ethernet_speeds_100"),
)
CAUSES = (
    "unknown",
    "booting",
    "stowed",
    "thermal_shutdown",
    "no_schedule",
    "no_sats",
    "obstructed",
    "no_downlink",
    "no_pings",
    "actuator_activity",
    "cable_test",
    "sleeping",
    "moving_while_not_allowed",
)
NOT_DISABLED = {None, 0, 1}  # not told, unknown, okay
DISABLEMENTS = {2: "no_active_account", 3: "too_far_from_service_address", 7: "data_overage", 8: "cell_is_disabled"}


class NoStatus(Exception):
    """The answer is no status of a terminal; the message says why."""


def read_status(answer: bytes, at: datetime) -> Telemetry:
    """Raises NoStatus."""
    try:
        response = wire.read_message(_message_of(answer))
        status = wire.message_in(response, DISH_STATUS)
        if status is None:
            raise NoStatus("the answer holds no status of a dish")
        return _telemetry(status, at)
    except wire.Malformed as error:
        raise NoStatus(str(error)) from None


def _message_of(answer: bytes) -> bytes:
    if len(answer) > MAX_ANSWER:
        raise NoStatus("the answer is too long")
    if len(answer) <= FRAME.size:
        raise NoStatus("the answer is empty")
    is_compressed, length = FRAME.unpack_from(answer)
    if is_compressed or FRAME.size + length != len(answer):
        raise NoStatus("the answer is cut off, or compressed")
    return answer[FRAME.size :]


def _telemetry(status: wire.Message, at: datetime) -> Telemetry:
    info, device = wire.message_in(status, DEVICE_INFO) or {}, wire.message_in(status, DEVICE_STATE) or {}
    obstruction = wire.message_in(status, OBSTRUCTION) or {}
    alerts = list(wire.true_fields(wire.message_in(status, ALERTS) or {}, ALERT_NAMES))
    if wire.number_in(obstruction, OBSTRUCTED_NOW):
        alerts.append("obstructed")
    state, cause = _state(status)
    return Telemetry(
        device=wire.text_in(info, ID)[:60],
        at=at,
        state=state,
        cause=cause,
        alerts=tuple(alerts),
        drop_rate=fraction(_float(status, DROP_RATE)),
        latency_ms=milliseconds(wire.float_in(status, LATENCY_MS)),
        obstruction=fraction(_float(obstruction, OBSTRUCTED_FRACTION)),
        uptime_s=whole(wire.number_in(device, UPTIME_S), most=10**9),
    )


def _float(message: wire.Message, field: int) -> float:
    """Return 0 for a field that is left out: protobuf writes no zeros."""
    value = wire.float_in(message, field)
    return 0.0 if value is None else value


def _state(status: wire.Message) -> tuple[LinkState, str | None]:
    """It is down while it tells of an outage that lasts, is disabled, or loses all of its own pings."""
    if (outage := wire.message_in(status, OUTAGE)) is not None:
        cause = wire.number_in(outage, CAUSE) or 0
        return LinkState.DOWN, CAUSES[cause] if cause < len(CAUSES) else "unknown"
    code = wire.number_in(status, DISABLEMENT)
    if code not in NOT_DISABLED:
        return LinkState.DOWN, f"disabled_{DISABLEMENTS.get(code or 0, code)}"
    if _float(status, DROP_RATE) >= 1:
        return LinkState.DOWN, "no_pings"
    return LinkState.UP, None

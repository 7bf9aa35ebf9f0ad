from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.courier.contract import Answer, DeliveryOutcome, answer_of_status
from app.courier.http_answer import receiver_id, retry_after_s
from app.courier.retries import settle, tries_second, wait_s

NOW = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


@given(failures=st.integers(1, 10_000), asked=st.one_of(st.none(), st.floats(0, 1e12)), jitter=st.floats(0, 1))
def test_waits_double_up_to_a_quarter_of_an_hour_and_a_receiver_is_heeded_for_at_most_an_hour(
    failures: int, asked: float | None, jitter: float
) -> None:
    wait = wait_s(failures, asked, jitter)
    assert 4 <= wait <= 3600
    assert wait >= min(asked or 0, 3600)
    assert asked is not None or wait <= 900 * 1.2
    assert wait_s(1, None, 0.5) == 5
    assert wait_s(5, None, 0.5) == 80


@given(status=st.integers(100, 599))
def test_only_a_success_is_accepted_and_only_what_may_pass_is_tried_again(status: int) -> None:
    outcome = answer_of_status(status).outcome
    assert (outcome is DeliveryOutcome.ACCEPTED) == (200 <= status < 300)
    assert (outcome is DeliveryOutcome.FAILED) == (status >= 500 or status in {408, 425, 429})


def test_what_a_receiver_cannot_take_steps_aside_once_others_are_accepted() -> None:
    failed = Answer(DeliveryOutcome.FAILED, "HTTP 500")
    alone = settle(failed, failures=12, attempts=13, now=NOW, jitter=0.5)
    assert alone.next_attempt_at == NOW, "nobody knows whether it is this one: it stays the first"
    suspect = settle(failed, failures=0, attempts=13, now=NOW, jitter=0.5)
    assert suspect.next_attempt_at == NOW + timedelta(minutes=5)
    assert settle(failed, failures=0, attempts=1, now=NOW, jitter=0.5).next_attempt_at == NOW
    assert [failures for failures in range(20) if tries_second(failures)] == [11, 15, 19]


def test_a_retry_after_is_read_as_seconds_or_as_a_date_and_nonsense_is_no_wait() -> None:
    assert retry_after_s("120", NOW) == 120
    assert retry_after_s("Sat, 28 Nov 2026 06:05:00 GMT", NOW) == 300
    assert retry_after_s("Sat, 28 Nov 2026 05:05:00 GMT", NOW) == 0
    for nonsense in (None, "", "soon", "nan", "inf", "-inf", "1e999", "Sat, 99 Nov 2026"):
        assert retry_after_s(nonsense, NOW) is None
    assert retry_after_s("-5", NOW) == 0


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_answer_has_a_bounded_id_or_none(body: bytes) -> None:
    found = receiver_id(body)
    assert found is None or 0 < len(found) <= 100


def test_the_receivers_id_is_found_where_services_write_it() -> None:
    assert receiver_id(b'{"id": "a7"}') == "a7"
    assert receiver_id(b'{"ok": true, "result": {"message_id": 42}}') == "42"
    assert receiver_id(b'{"messages": [{"id": "wamid.X"}]}') == "wamid.X"
    for none in (b"", b"[]", b"[[[[]]]]", b'{"id": true}', b'{"id": {"a": 1}}', b'{"id": "' + b"x" * 101 + b'"}'):
        assert receiver_id(none) is None

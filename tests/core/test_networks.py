import pytest

from app.core.networks import canonical, limit_key, network_of


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("36.70.1.9", "36.70.1.9"),
        ("::ffff:36.70.1.9", "36.70.1.9"),
        ("2404:8000:0::1", "2404:8000::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_has_one_spelling(given: str | None, stored: str | None) -> None:
    assert canonical(given) == stored


def test_a_network_is_a_part_of_an_address() -> None:
    assert network_of(None) == network_of("testclient") is None
    assert network_of("203.0.113.7") == "203.0.113.0/24"
    assert network_of("2001:db8:1:2::3") == "2001:db8:1::/48"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_a_limit_counts_an_address_or_a_whole_network_of_ipv6_together(address: str | None, key: str) -> None:
    assert limit_key(address) == key

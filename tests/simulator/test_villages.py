"""The demo's villages."""

import ipaddress
import math
from collections import Counter
from pathlib import Path

import pytest

from simulator.villages import CANARIES, PROVIDERS, villages

REGIONS = Path(__file__).parents[2] / "config" / "regions" / "kaltim_regions.csv"
pytestmark = pytest.mark.skipif(not REGIONS.exists(), reason="the region table is not here")


def test_every_village_of_kaltim_has_one_site_in_code_order() -> None:
    codes = [site["village_code"] for site in villages(REGIONS)]
    assert len(codes) == 1038
    assert codes == sorted(set(codes))


def test_the_mix_of_technologies_is_exact() -> None:
    counted = Counter(site["technology"] for site in villages(REGIONS))
    assert counted == {"fiber": 571, "leo": 201, "geo": 100, "cellular": 166}


def test_the_sites_are_the_same_every_time_and_so_are_the_first_ones() -> None:
    every = villages(REGIONS)
    assert every == villages(REGIONS)
    assert villages(REGIONS, 300) == every[:300]


def test_addresses_are_unique_and_neither_the_hosts_own_nor_a_canarys() -> None:
    addresses = [ipaddress.ip_address(site["host"]) for site in villages(REGIONS)]
    assert len(set(addresses)) == len(addresses)
    loopback, own = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("127.0.0.0/16")
    assert all(address in loopback and address not in own for address in addresses)
    assert not {str(address) for address in addresses} & set(CANARIES)


def test_every_site_has_a_known_provider_of_its_technology() -> None:
    used = {(site["provider"], site["technology"]) for site in villages(REGIONS)}
    assert {provider for provider, _ in used} == set(PROVIDERS)
    assert {technology for provider, technology in used if provider == "iconplus"} == {"geo", "fiber"}
    assert {provider for provider, technology in used if technology == "cellular"} == {"orbit"}


def test_no_contact_person_is_invented() -> None:
    assert all(site["contact_name"] is None and site["contact_phone"] is None for site in villages(REGIONS))


def test_remote_districts_have_satellite_links_and_cities_fibre() -> None:
    satellite: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for site in villages(REGIONS):
        total[site["village_code"][:5]] += 1
        satellite[site["village_code"][:5]] += site["technology"] in {"leo", "geo"}
    assert satellite["64.11"] > 0.7 * total["64.11"]
    assert not any(satellite[city] for city in ("64.71", "64.72", "64.74"))


def test_a_site_is_near_its_villages_centroid_but_not_on_it() -> None:
    lines = [line.split(",") for line in REGIONS.read_text(encoding="utf-8").splitlines()[1:]]
    centroids = {line[0]: (float(line[-2]), float(line[-1])) for line in lines}
    for site in villages(REGIONS):
        latitude, longitude = centroids[site["village_code"]]
        assert 0.1 < math.hypot(site["latitude"] - latitude, site["longitude"] - longitude) * 111.2 < 2

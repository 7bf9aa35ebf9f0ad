"""The demo's towers."""

from collections import Counter
from pathlib import Path

import pytest

from simulator.towers import Tower, towers
from simulator.villages import CANARIES, villages

REGIONS = Path(__file__).parents[2] / "config" / "regions" / "kaltim_regions.csv"
EVERY = villages(REGIONS)
BY_HOST = {site["host"]: site for site in EVERY}


def area(tower: Tower) -> str:
    return str(tower.fields["village_code"])[:8]


def test_without_nodes_there_is_no_tower() -> None:
    assert towers(REGIONS, EVERY, 0) == []


def test_the_areas_with_most_villages_get_one_tower_each_and_no_more() -> None:
    carried = Counter(site["village_code"][:8] for site in EVERY if site["technology"] in {"fiber", "cellular"})
    ten = towers(REGIONS, EVERY, 10)
    assert [area(tower) for tower in ten] == sorted(carried, key=lambda code: (-carried[code], code))[:10]
    assert towers(REGIONS, EVERY, 10) == ten == towers(REGIONS, EVERY, 1000)[:10]
    assert len(towers(REGIONS, EVERY, 1000)) == sum(count >= 2 for count in carried.values())


@pytest.mark.parametrize("sites", [60, 300, None])
def test_villages_behind_a_tower_are_of_its_area_not_satellite_and_not_its_house(sites: int | None) -> None:
    there = villages(REGIONS, sites)
    for tower in towers(REGIONS, there, 1000):
        children = [BY_HOST[host] for host in tower.children]
        assert children
        assert {child["village_code"][:8] for child in children} == {area(tower)}
        assert {child["technology"] for child in children} <= {"fiber", "cellular"}
        assert tower.fields["village_code"] not in {child["village_code"] for child in children}
        assert tower.fields["village_code"] in {site["village_code"] for site in there}


def test_a_towers_address_is_unique() -> None:
    addresses = [tower.fields["host"] for tower in towers(REGIONS, EVERY, 1000)]
    assert len(set(addresses)) == len(addresses)
    assert not set(addresses) & (BY_HOST.keys() | set(CANARIES))


def test_a_tower_has_the_most_common_technology_of_the_villages_behind_it() -> None:
    for tower in towers(REGIONS, EVERY, 1000):
        links = Counter(BY_HOST[host]["technology"] for host in tower.children)
        assert links[tower.fields["technology"]] == max(links.values())
        providers = {(BY_HOST[host]["technology"], BY_HOST[host]["provider"]) for host in tower.children}
        assert (tower.fields["technology"], tower.fields["provider"]) in providers

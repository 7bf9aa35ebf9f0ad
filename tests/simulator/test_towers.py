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


def test_without_a_wish_there_is_no_tower() -> None:
    assert towers(REGIONS, EVERY, 0) == []


def test_the_fullest_areas_get_one_each_and_more_are_asked_for_than_there_are_areas_in_vain() -> None:
    carried = Counter(site["village_code"][:8] for site in EVERY if site["technology"] in {"fiber", "cellular"})
    ten = towers(REGIONS, EVERY, 10)
    assert [area(tower) for tower in ten] == sorted(carried, key=lambda code: (-carried[code], code))[:10]
    assert towers(REGIONS, EVERY, 10) == ten == towers(REGIONS, EVERY, 1000)[:10]
    assert len(towers(REGIONS, EVERY, 1000)) == sum(count >= 2 for count in carried.values())


@pytest.mark.parametrize("sites", [60, 300, None])
def test_what_hangs_on_a_tower_is_near_it_and_no_dish_and_not_the_village_that_houses_it(sites: int | None) -> None:
    there = villages(REGIONS, sites)
    for tower in towers(REGIONS, there, 1000):
        children = [BY_HOST[host] for host in tower.children]
        assert children
        assert {child["village_code"][:8] for child in children} == {area(tower)}
        assert {child["technology"] for child in children} <= {"fiber", "cellular"}
        assert tower.fields["village_code"] not in {child["village_code"] for child in children}
        assert tower.fields["village_code"] in {site["village_code"] for site in there}


def test_an_address_is_a_towers_alone() -> None:
    addresses = [tower.fields["host"] for tower in towers(REGIONS, EVERY, 1000)]
    assert len(set(addresses)) == len(addresses)
    assert not set(addresses) & (BY_HOST.keys() | set(CANARIES))


def test_a_tower_has_the_commonest_link_of_those_that_hang_on_it() -> None:
    for tower in towers(REGIONS, EVERY, 1000):
        links = Counter(BY_HOST[host]["technology"] for host in tower.children)
        assert links[tower.fields["technology"]] == max(links.values())
        providers = {(BY_HOST[host]["technology"], BY_HOST[host]["provider"]) for host in tower.children}
        assert (tower.fields["technology"], tower.fields["provider"]) in providers

"""Sites and regions as notifications tell of them."""

from collections.abc import Iterable, Mapping, Sequence

from app.alerts.affected_members import OutageMember
from app.alerts.content import NAMED_SITES, Section, ToldPlace, ToldSite
from app.measurements.loss_counts import SiteTime
from app.registry import regions

NO_LOSSES: Mapping[SiteTime, Mapping[str, int]] = {}


def last_of_each_site(members: Iterable[OutageMember]) -> list[OutageMember]:
    """Return one outage a site, in the order of their start: a site that was down thrice has recovered once."""
    last = {member.site_id: member for member in sorted(members, key=lambda member: member.started_at)}
    return sorted(last.values(), key=lambda member: member.started_at)


def section_of(members: Sequence[OutageMember], losses: Mapping[SiteTime, Mapping[str, int]] = NO_LOSSES) -> Section:
    named = [told_site(each, losses.get((each.site_id, each.started_at), {})) for each in members[:NAMED_SITES]]
    cut_off = [each for each in members if each.node_id is not None]
    node = cut_off[0].node if cut_off and len({each.outage_site_id for each in members}) == 1 else None
    return Section(sites=named, total=len(members), cut_off=len(cut_off), node=node)


def told_site(member: OutageMember, lost_readings: Mapping[str, int]) -> ToldSite:
    return ToldSite(
        **site_fields(member.code, member.name, member.village_code),
        technology=member.technology,
        provider=member.provider,
        service_no=member.service_no,
        incident_id=member.incident_id,
        started_at=member.started_at,
        last_ok_at=member.last_ok_at,
        ended_at=member.ended_at,
        is_cut_off=member.node_id is not None,
        lost_readings=dict(lost_readings),
    )


def site_fields(code: str, name: str, village_code: str) -> dict[str, str]:
    names = regions.names()
    return {
        "code": code,
        "name": name,
        "village": names.get(village_code, village_code),
        "subdistrict": names.get(village_code[:8], village_code[:8]),
        "district": names.get(village_code[:5], village_code[:5]),
    }


def told_place(code: str) -> ToldPlace:
    return ToldPlace(code=code, name=regions.names().get(code, code))

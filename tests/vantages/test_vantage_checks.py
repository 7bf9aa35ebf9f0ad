"""Sites that their own provider alone, or first of all, looks at."""

from tests.conftest import Cast
from tests.factories import register
from tests.support.delivering_probers import make_vantage
from tests.support.registry_checks import list_findings, sites_found


async def test_a_site_that_its_own_provider_looks_at_alone_or_first_is_a_finding(cast: Cast) -> None:
    await make_vantage(cast)
    alone = await register(cast, vantages=[1])
    first = await register(cast, host="198.51.100.21", vantages=[1, 0])
    await register(cast, host="198.51.100.22", vantages=[0, 1])
    assert await sites_found(cast.ana, "only_hosted_vantages") == []

    async def host(provider: str | None) -> None:
        body = {"name": "telkom", "label": "Jaringan telkom", "provider": provider}
        assert (await cast.sari.client.put("/api/v1/vantages/1", json=body)).status_code == 200

    await host(alone["provider"])
    (finding,) = await list_findings(cast.ana, "only_hosted_vantages")
    assert (finding["code"], finding["severity"]) == (alone["code"], "warning")
    (finding,) = await list_findings(cast.ana, "hosted_primary")
    assert finding["code"] == first["code"]
    assert "Jaringan telkom" in finding["message"]


async def test_what_another_provider_hosts_is_none(cast: Cast) -> None:
    await make_vantage(cast)
    site = await register(cast, vantages=[1])
    other = next(slug for slug in ("iconplus", "telkom-wms") if slug != site["provider"])
    body = {"name": "telkom", "label": "Jaringan telkom", "provider": other}
    assert (await cast.sari.client.put("/api/v1/vantages/1", json=body)).status_code == 200
    assert await sites_found(cast.ana, "only_hosted_vantages") == await sites_found(cast.ana, "hosted_primary") == []

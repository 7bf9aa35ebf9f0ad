"""Faults of database, worker and API while dashboards poll."""

from pathlib import Path

import pytest

from tests.support.faults import FAULTS, with_dashboards

pytestmark = pytest.mark.real_time


def test_no_dashboard_shows_stale_data_as_fresh_whatever_fails(tmp_path: Path) -> None:
    with with_dashboards(tmp_path / "data") as (running, dashboards):
        for fail in FAULTS:
            fail(running, 300)  # how soon: make bench ARGS=faults
    for dashboard in dashboards:
        assert dashboard.stale == []
        assert dashboard.responses > dashboard.requests / 2

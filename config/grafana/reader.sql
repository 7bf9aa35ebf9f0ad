-- What Grafana may read, for the dashboard over PostgreSQL. As PostgreSQL's administrator, in the service's database:
--   psql -d sinyal -f reader.sql, then \password sinyal_grafana
-- Of `site` these columns only: no contact persons, no addresses, no positions. Nothing of accounts and tokens.
CREATE ROLE sinyal_grafana LOGIN;
GRANT USAGE ON SCHEMA public TO sinyal_grafana;
GRANT SELECT ON region, provider, site_status, worker_beat TO sinyal_grafana;
GRANT SELECT (id, code, name, kind, village_code, technology, provider_id, lifecycle) ON site TO sinyal_grafana;
GRANT SELECT ON region_availability_day, availability_day, region_day TO sinyal_grafana;
GRANT SELECT (id, kind, status, started_at, ended_at, cause) ON incident TO sinyal_grafana;
GRANT SELECT ON incident_site TO sinyal_grafana;

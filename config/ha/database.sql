-- Once, on the leader: psql -v password=… -f database.sql
CREATE ROLE sinyal LOGIN PASSWORD :'password';
GRANT pg_monitor TO sinyal;  -- `sinyal doctor` reads replication and archiving
CREATE DATABASE sinyal OWNER sinyal;

-- Everything that was read, as often as it was read, understood or not. Plain DuckDB can do the same:
--   SET TimeZone = 'UTC';
--   SET VARIABLE events = 'analytics-data/events/*/*.parquet';
--   .read deliveries.sql
--   .read views.sql
CREATE OR REPLACE VIEW deliveries AS
SELECT * FROM read_parquet(getvariable('events'), hive_partitioning = true, union_by_name = true);

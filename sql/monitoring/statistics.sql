-- Tables with old statistics, and dead rows that vacuum has not removed yet.
select relname as table_name, n_live_tup as live_rows, n_dead_tup as dead_rows, n_mod_since_analyze as changed_since_analyze,
  greatest(last_analyze, last_autoanalyze) as analyzed, greatest(last_vacuum, last_autovacuum) as vacuumed
from pg_stat_all_tables
where schemaname = 'contract_data'
order by n_mod_since_analyze desc;

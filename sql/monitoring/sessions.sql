-- The loader's sessions and the sessions that block them. Run it as the loader, the owner or a member of pg_monitor: other
-- roles do not see what sessions do.
select pid, application_name, state, wait_event_type, wait_event, now() - xact_start as in_transaction,
  pg_blocking_pids(pid) as blocked_by, left(query, 60) as query
from pg_stat_activity
where datname = current_database() and (application_name like 'contract-data-loader%' or pid = any (
  select unnest(pg_blocking_pids(pid)) from pg_stat_activity where application_name like 'contract-data-loader%'))
order by xact_start nulls last;

-- BRIN summaries of new pages, and statistics if there are none or enough has changed. Returns whether it did anything.
create or replace function contract_data.tend_table(part regclass) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  index_name regclass;
  summarised bigint := 0;
  changed bigint;
  live bigint;
  analysed timestamptz;
begin
  for index_name in
    select i.indexrelid::regclass from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
    where i.indrelid = part and a.amname = 'brin'
  loop
    summarised := summarised + brin_summarize_new_values(index_name);
  end loop;
  select n_mod_since_analyze, n_live_tup, greatest(last_analyze, last_autoanalyze)
    into changed, live, analysed from pg_stat_all_tables where relid = part;
  if analysed is null and pg_relation_size(part) > 0 or changed > 10000 + live / 10 then
    execute format('analyze %s', part);
    return true;
  end if;
  return summarised > 0;
end $$;
comment on function contract_data.tend_table(regclass) is 'BRIN summaries and statistics of one partition, where they are missing or old.';

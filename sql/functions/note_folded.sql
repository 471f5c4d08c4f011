-- Notes which ledgers the current state follows from: some are no longer in it, others are from now on. The caller holds the fold's
-- lock.
create or replace function contract_data.note_folded(removed int8multirange, added int8multirange, with_ttls int8multirange) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update contract_data.folded_ledgers f set (ledgers, with_ttls, ttls_whole_from) = (
    select n.ledgers, n.with_ttls,
      case when upper(n.with_ttls) = upper(n.ledgers) then (select max(lower(r)) from unnest(n.with_ttls) r) end
    from (select f.ledgers - removed + added as ledgers, f.with_ttls - removed + note_folded.with_ttls as with_ttls) n)
$$;
comment on function contract_data.note_folded(int8multirange, int8multirange, int8multirange) is
  'Takes ledgers out of folded_ledgers, then adds others, and those that have their times to live.';

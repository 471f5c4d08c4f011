-- Functions as a release before this one may have had them: fold_windows lists its columns, liveness does not exist yet, and
-- only that release's loader calls note_load.
drop function contract_data.liveness(bigint, bigint);

create or replace function contract_data.note_load(window_id bigint) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select 'ledgers ' || start_ledger || ' to ' || end_ledger from contract_data.ingestion_progress where id = window_id
$$;

create or replace function contract_data.fold_windows(window_ids bigint[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  ledgers int8multirange;
  folded_windows bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select range_agg(int8range(start_ledger, end_ledger, '[]')) into ledgers
  from contract_data.ingestion_progress
  where id = any (window_ids) and status = 'completed' and not folded and entries_processed > 0;
  if ledgers is not null then
    perform contract_data.learn_assets(ledgers);
    insert into contract_data.key_states as k (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr,
      contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq)
    select distinct on (n.ledger_key_hash)
      n.ledger_key_hash, n.contract_id, n.contract_key_type, n.contract_durability, a.asset_code, a.asset_issuer, a.asset_type,
      n.balance_holder, n.balance, n.last_modified_ledger, n.deleted, n.ledger_sequence, n.change_index, n.closed_at,
      n.key_xdr, n.val_xdr, n.contract_instance_type, n.contract_instance_wasm_hash, n.expiration_ledger_seq
    from contract_data.entries n
    left join contract_data.contract_assets a on n.balance_holder is not null and a.contract_id = n.contract_id
    where ledgers @> n.ledger_sequence
    order by n.ledger_key_hash, n.ledger_sequence desc, n.change_index desc
    on conflict (ledger_key_hash) do update set
      contract_id = excluded.contract_id, contract_key_type = excluded.contract_key_type,
      contract_durability = excluded.contract_durability, asset_code = excluded.asset_code,
      asset_issuer = excluded.asset_issuer, asset_type = excluded.asset_type, balance_holder = excluded.balance_holder,
      balance = excluded.balance, last_modified_ledger = excluded.last_modified_ledger, deleted = excluded.deleted,
      ledger_sequence = excluded.ledger_sequence, change_index = excluded.change_index, closed_at = excluded.closed_at,
      key_xdr = excluded.key_xdr, val_xdr = excluded.val_xdr, contract_instance_type = excluded.contract_instance_type,
      contract_instance_wasm_hash = excluded.contract_instance_wasm_hash,
      expiration_ledger_seq = excluded.expiration_ledger_seq
    where (k.ledger_sequence, k.change_index) < (excluded.ledger_sequence, excluded.change_index);
  end if;
  perform contract_data.note_folded('{}', coalesce(ledgers, '{}'), '{}');
  update contract_data.ingestion_progress set folded = true
  where id = any (window_ids) and status = 'completed' and not folded;
  get diagnostics folded_windows = row_count;
  return folded_windows;
end $$;

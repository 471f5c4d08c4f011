-- What loader and reader may do, and nothing else: run by every migrate, as the owner, after the functions. Without the
-- table of roles (sql/bootstrap/roles.sql) one role does everything, or somebody grants by hand.
do $$
declare
  grantee name;
  grantee_duty text;
  permission text;
  permissions constant jsonb := $json${
    "loader": [
      "usage on schema contract_data",
      "select on all tables in schema contract_data",
      "insert on contract_data.entries",
      "insert on contract_data.ttl_changes",
      "insert on contract_data.retained_states",
      "insert on contract_data.snapshot_ttls",
      "execute on function contract_data.ensure_partition",
      "execute on function contract_data.tend_partition",
      "execute on function contract_data.strkey",
      "execute on function contract_data.strkey_payload",
      "execute on function contract_data.asset_contract",
      "execute on function contract_data.hint_window",
      "execute on function contract_data.unhint_window",
      "execute on function contract_data.claim_window",
      "execute on function contract_data.record_table",
      "execute on function contract_data.begin_snapshot",
      "execute on function contract_data.record_snapshot_table",
      "execute on function contract_data.finish_snapshot",
      "execute on function contract_data.archive_snapshot",
      "execute on function contract_data.snapshot_ledgers",
      "execute on function contract_data.name_assets",
      "execute on function contract_data.replace_window",
      "execute on function contract_data.finish_window",
      "execute on function contract_data.fail_window",
      "execute on function contract_data.mark_archived",
      "execute on function contract_data.fold_windows",
      "execute on function contract_data.fold_pending",
      "execute on function contract_data.add_assets",
      "execute on function contract_data.store_schedule_start",
      "execute on function contract_data.store_fingerprint",
      "execute on function contract_data.store_fingerprint_hash",
      "execute on function contract_data.scval, contract_data.encode_strkey, contract_data.xdr_address, contract_data.xdr_error",
      "execute on function contract_data.xdr_escaped, contract_data.xdr_int32, contract_data.xdr_int64, contract_data.xdr_number, contract_data.xdr_text"
    ],
    "reader": [
      "usage on schema contract_data",
      "select on all tables in schema contract_data",
      "execute on function contract_data.strkey(integer, bytea)",
      "execute on function contract_data.strkey_payload(integer, text)",
      "execute on function contract_data.asset_contract(bytea, text, text, text)",
      "execute on function contract_data.get_balance_history(text, integer)",
      "execute on function contract_data.get_top_holders(text, text, integer, boolean)",
      "execute on function contract_data.liveness(bigint, bigint)",
      "execute on function contract_data.snapshot_ledgers",
      "execute on function contract_data.scval, contract_data.encode_strkey, contract_data.xdr_address, contract_data.xdr_error",
      "execute on function contract_data.xdr_escaped, contract_data.xdr_int32, contract_data.xdr_int64, contract_data.xdr_number, contract_data.xdr_text",
      "execute on function contract_data.known_history, contract_data.states_at, contract_data.storage, contract_data.changes_between",
      "execute on function contract_data.token_metadata, contract_data.get_token_holders, contract_data.strkey_xdr"
    ]
  }$json$;
begin
  if to_regclass('contract_data.roles') is null then
    return;
  end if;
  -- A partition that is being attached has its catalogue row written too; two writers of one row would fail.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  revoke all on all functions in schema contract_data from public;
  for grantee, grantee_duty in
    select r.role_name, r.duty from contract_data.roles r join pg_roles p on p.rolname = r.role_name
  loop
    execute format('revoke all on schema contract_data from %I', grantee);
    execute format('revoke all on all tables in schema contract_data from %I', grantee);
    execute format('revoke all on all functions in schema contract_data from %I', grantee);
    for permission in select jsonb_array_elements_text(permissions -> grantee_duty) loop
      execute format('grant %s to %I', permission, grantee);
    end loop;
  end loop;
end $$

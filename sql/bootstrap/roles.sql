-- Three roles, so that nobody has more rights than the work wants: an owner that migrates, a loader that loads, a reader
-- that reads. An administrator runs this once, in the database that is for contract data alone, before the first
-- `ingestctl migrate`; again whenever a name changes. PostgreSQL 15 or later.
--
--     psql "$ADMIN_URL" -f sql/bootstrap/roles.sql
--     psql "$ADMIN_URL" -v owner=a -v loader=b -v reader=c -f sql/bootstrap/roles.sql
--
-- The administrator is a superuser, or owns the database and may create roles, as on RDS. Roles that are there already are
-- taken as they are. No password stands here: set one with `\password contract_data_loader` in psql, which sends a hash, or
-- `grant rds_iam to contract_data_loader` on RDS for DB_IAM_AUTH.
--
-- Then, as the owner: `ingestctl migrate`. It grants what loader and reader may do, now and after every upgrade.
\set ON_ERROR_STOP on
\if :{?owner}
\else
\set owner contract_data_owner
\endif
\if :{?loader}
\else
\set loader contract_data_loader
\endif
\if :{?reader}
\else
\set reader contract_data_reader
\endif

begin;
select set_config('bootstrap.owner', :'owner', true), set_config('bootstrap.loader', :'loader', true),
  set_config('bootstrap.reader', :'reader', true);

do $$
declare
  owner name := current_setting('bootstrap.owner');
  loader name := current_setting('bootstrap.loader');
  reader name := current_setting('bootstrap.reader');
  administrator name := current_user;
  version integer := current_setting('server_version_num');
  joins boolean;
  role_name name;
begin
  if version < 150000 then
    raise exception 'PostgreSQL 15 or later is wanted, this is %', current_setting('server_version');
  end if;
  if owner = loader or owner = reader or loader = reader then
    raise exception 'owner, loader and reader must be three roles';
  end if;
  if not exists (
    select from pg_roles r where r.rolname = administrator
      and (r.rolsuper or (r.rolcreaterole and exists (
        select from pg_database d where d.datname = current_database() and d.datdba = r.oid))))
  then
    raise exception 'run this as a superuser, or as the owner of the database % who may create roles', current_database();
  end if;
  if exists (
    select from pg_namespace where nspname = 'contract_data' and nspowner is distinct from to_regrole(quote_ident(owner))::oid)
  then
    raise exception 'the schema contract_data has another owner: name it with -v owner=%', (
      select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner where n.nspname = 'contract_data');
  end if;

  foreach role_name in array array[owner, loader, reader] loop
    if to_regrole(quote_ident(role_name)) is null then
      execute format('create role %I login', role_name);
    end if;
  end loop;
  -- What a session sets for itself wins: the loader does. These are for whoever else logs in.
  execute format('alter role %I connection limit 10', owner);
  execute format('alter role %I set lock_timeout = ''30s''', owner);
  execute format('alter role %I connection limit 40', loader);
  execute format('alter role %I set lock_timeout = ''30s''', loader);
  execute format('alter role %I set statement_timeout = ''15min''', loader);
  execute format('alter role %I set idle_in_transaction_session_timeout = ''15min''', loader);
  execute format('alter role %I connection limit 50', reader);
  execute format('alter role %I set lock_timeout = ''5s''', reader);
  execute format('alter role %I set statement_timeout = ''5min''', reader);
  execute format('alter role %I set idle_in_transaction_session_timeout = ''5min''', reader);
  execute format('alter role %I set default_transaction_read_only = on', reader);

  -- The database is for these three, and nobody needs temporary tables: an earlier release granted them to the loader.
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to %I, %I, %I', current_database(), owner, loader, reader);
  execute format('revoke temporary on database %I from %I', current_database(), loader);
  revoke all on schema public from public;

  -- As the owner, from here on. Who creates a role on PostgreSQL 16 or later may not yet act as it.
  joins := not case when version >= 160000 then pg_has_role(administrator, owner, 'SET')
                    else pg_has_role(administrator, owner, 'MEMBER') end;
  if joins then
    execute format('grant %I to %I', owner, administrator);
  end if;
  if to_regnamespace('contract_data') is null then
    execute format('create schema contract_data authorization %I', owner);
  end if;
  execute format('set local role %I', owner);
  -- Functions of later migrations are nobody's until they are granted; their tables are the reader's to read.
  alter default privileges revoke execute on functions from public;
  execute format('alter default privileges in schema contract_data grant select on tables to %I', reader);
  create table if not exists contract_data.roles (
    role_name name not null,
    duty text not null,
    constraint roles_pkey primary key (role_name),
    constraint roles_duty_check check (duty in ('loader', 'reader'))
  );
  comment on table contract_data.roles is
    'Who has which duty here; written by sql/bootstrap/roles.sql. Each migrate grants these roles what the duty wants, and no more.';
  comment on column contract_data.roles.role_name is 'A role of the server.';
  comment on column contract_data.roles.duty is 'loader or reader.';
  insert into contract_data.roles values (loader, 'loader'), (reader, 'reader')
    on conflict on constraint roles_pkey do update set duty = excluded.duty;
  reset role;
  if joins then
    execute format('revoke %I from %I', owner, administrator);
  end if;
end $$;
commit;

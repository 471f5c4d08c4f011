-- The digest of each function and view, by its definition in the database; overloads of one name together.
select name, encode(sha256(convert_to(string_agg(definition, E'\n' order by definition), 'UTF8')), 'hex') as digest
from (
  select proname::text as name, pg_get_functiondef(oid) as definition
  from pg_proc where pronamespace = 'contract_data'::regnamespace and prokind in ('f', 'p')
  union all
  select relname::text, pg_get_viewdef(oid)
  from pg_class where relnamespace = 'contract_data'::regnamespace and relkind in ('v', 'm')
) definitions
group by name

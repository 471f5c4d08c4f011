//! Three roles: the rights that each has, end to end, and those that it has not.

use testkit::database::connect;
use testkit::{Chain, Database, PrivateServer, Source};
use url::Url;

use crate::oracle;
use crate::support::{Store, World};

/// The file that an administrator runs.
const ROLES: &str = include_str!("../../../../sql/bootstrap/roles.sql");

/// A database with the three roles, on a private server: roles belong to the whole server.
pub(crate) struct Roles {
    _server: PrivateServer,
    pub(crate) world: World,
}

impl Roles {
    /// Set up as on RDS: by an administrator who is not a superuser, and owns the database.
    pub(crate) async fn set_up() -> Roles {
        let server = PrivateServer::start(&[]);
        let database = Database::create_on(server.url()).await;
        let admin = format!(
            "create role admin login createrole password 'admin'; alter database {} owner to admin",
            database.name()
        );
        database.execute(&admin).await;
        let rows = oracle::ledgers(1..=64);
        let source: Source = Chain::of_rows(rows.clone()).range(1..=64).serve();
        let world = World::without_schema(database, source, rows, Store::folder());
        let roles = Roles { _server: server, world };
        let admin = connect(&roles.url("admin")).await;
        admin.batch_execute(&script(ROLES)).await.unwrap();
        admin.batch_execute(&script(ROLES)).await.expect("a second time changes nothing");
        for role in ["owner", "loader", "reader"] {
            roles.world.database.execute(&format!("alter role {role} password '{role}'")).await;
        }
        roles
    }

    /// The URL of a role, whose password is its name.
    pub(crate) fn url(&self, role: &str) -> String {
        let mut url = Url::parse(&self.world.database.url()).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(role)).unwrap();
        url.to_string()
    }

    /// Runs the binary as this role; it must end well.
    pub(crate) async fn succeeds(&self, role: &str, line: &str) {
        let program = self.world.ingestctl(line).env("DATABASE_URL", self.url(role));
        let output = program.run().await;
        assert_eq!(output.code, Some(0), "{role}: {line}: {}{}", output.stdout, output.stderr);
        eprintln!("{role:<6} | ingestctl {line:<40} | yes");
    }

    /// The statement, as this role, ends with this SQLSTATE.
    pub(crate) async fn refused(&self, role: &str, statement: &str, state: &str) {
        let session = connect(&self.url(role)).await;
        // Its own default is to write nothing; the rights have to hold without that.
        session.batch_execute("set default_transaction_read_only = off").await.unwrap();
        let told = session.batch_execute(statement).await;
        let told = told.expect_err(&format!("{role} may: {statement}"));
        let code = told.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some(state), "{role}: {statement}: {told:?}");
        eprintln!("{role:<6} | {statement} | no ({state})");
    }

    pub(crate) async fn value(&self, sql: &str) -> String {
        self.world.database.value(sql).await
    }
}

/// What psql makes of the file, where owner, loader and reader are named so.
fn script(file: &str) -> String {
    let statements = file.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n");
    statements
        .replace(":'owner'", "'owner'")
        .replace(":'loader'", "'loader'")
        .replace(":'reader'", "'reader'")
}

/// What the loader may do to tables beside reading.
const LOADER_WRITES: &str =
    "entries INSERT\nretained_states INSERT\nsnapshot_ttls INSERT\nttl_changes INSERT";

/// The rights of the loader in the catalogue, less reading; partitions with them.
const RIGHTS: &str = "
    select string_agg(line, E'\\n' order by line) from (
      select c.relname || ' ' || string_agg(a.privilege_type, ', ' order by a.privilege_type) as line
      from pg_class c, aclexplode(c.relacl) a
      where c.relnamespace = 'contract_data'::regnamespace and a.grantee = 'loader'::regrole
        and a.privilege_type <> 'SELECT'
      group by c.relname) lines";

#[tokio::test]
async fn owner_migrates_loader_loads_reader_reads() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    roles.succeeds("loader", "migrate --check").await;
    roles.succeeds("loader", "run").await;
    roles.succeeds("loader", "replay -s 1 -e 64").await;
    roles.succeeds("loader", "replay -s 17 -e 32 --force").await;
    let added = "assets add USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
    roles.succeeds("loader", added).await;
    for line in ["status", "verify", "assets list"] {
        roles.succeeds("loader", line).await;
        roles.succeeds("reader", line).await;
    }
    roles.world.expect_whole(&[1..=64]).await;
    // Retention is the owner's; what it leaves, loader and reader read.
    roles.succeeds("owner", "maintain --retain-ledgers 1").await;
    assert_eq!(roles.value("select retained_from from contract_data.settings").await, "64");
    roles.succeeds("loader", "replay -s 64 -e 64 --force").await;
    roles.succeeds("loader", "run").await;
    roles.succeeds("reader", "verify").await;
    roles.world.expect_retained(&[1..=64], 64).await;
    assert_eq!(roles.value(RIGHTS).await, LOADER_WRITES);

    let reader = connect(&roles.url("reader")).await;
    for question in [
        "select * from contract_data.entries limit 1",
        "select * from contract_data.current_states limit 1",
        "select * from contract_data.asset_summary",
        "select * from contract_data.retained_states",
        "select * from contract_data.recent_activity",
        "select * from contract_data.ledger_gaps",
        "select * from contract_data.table_sizes",
        "select * from contract_data.get_top_holders('USDC', 'G')",
        "select * from contract_data.get_balance_history('C')",
        "select contract_data.liveness(1, 2)",
        "select * from contract_data.storage('C')",
        "select * from contract_data.states_at('C', 64)",
        "select * from contract_data.changes_between('C', 63, 64)",
        "select * from contract_data.contract_tokens",
        "select * from contract_data.token_balances",
        "select * from contract_data.get_token_holders('C')",
        "select * from contract_data.hubble_contract_data",
        "select * from contract_data.token_metadata('AADwAAAAhNRVRBREFUQ')",
        // an error, a number of 64 bits, a nonce, a text with an escape and an address
        "select contract_data.scval('AAAAEAAAAAEAAAAFAAAAAgAAAAAAAAABAAAABf//////////AAAAFQAAAAAAAAAAAAAADgAAAAH/AAAAAAAAEgAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==')",
    ] {
        reader.batch_execute(question).await.unwrap_or_else(|e| panic!("{question}: {e:?}"));
        eprintln!("reader | {question} | yes");
    }
    drop(reader);
    let entries = "select count(*) from contract_data.entries";
    let before = roles.value(entries).await;
    for (role, statement, state) in REFUSED {
        roles.refused(role, statement, state).await;
    }
    assert_eq!(roles.value(entries).await, before);
    roles.succeeds("reader", "verify").await;
}

/// Actions that only the owner may do, and actions that the reader may not do. 42501: insufficient privilege.
const REFUSED: [(&str, &str, &str); 42] = [
    ("loader", "create table contract_data.mine ()", "42501"),
    ("loader", "create table public.mine ()", "42501"),
    ("loader", "create schema mine", "42501"),
    ("loader", "create role mine", "42501"),
    ("loader", "alter table contract_data.entries add mine int", "42501"),
    ("loader", "drop table contract_data.entries_0000000064", "42501"),
    (
        "loader",
        "alter table contract_data.entries detach partition contract_data.entries_0000000064",
        "42501",
    ),
    ("loader", "create index on contract_data.key_states (balance)", "42501"),
    ("loader", "drop view contract_data.current_states", "42501"),
    (
        "loader",
        "create or replace function contract_data.tend_partition(ledger bigint) returns void language sql as ''",
        "42501",
    ),
    ("loader", "truncate contract_data.entries", "42501"),
    ("loader", "truncate contract_data.ingestion_progress", "42501"),
    ("loader", "delete from contract_data.entries", "42501"),
    ("loader", "delete from contract_data.entries_0000000064", "42501"),
    ("loader", "update contract_data.entries set deleted = true", "42501"),
    ("loader", "insert into contract_data.entries_0000000064 select * from contract_data.entries", "42501"),
    ("loader", "update contract_data.settings set network = 'mine'", "42501"),
    ("loader", "update contract_data.settings set partition_ledgers = 1", "42501"),
    ("loader", "update contract_data.settings set oldest_loader = 99", "42501"),
    ("loader", "delete from contract_data.settings", "42501"),
    ("loader", "insert into contract_data.schema_history (version) values (99)", "42501"),
    ("loader", "insert into contract_data.roles values ('mine', 'loader')", "42501"),
    ("loader", "update contract_data.contract_assets set asset_code = 'MINE'", "42501"),
    ("loader", "delete from contract_data.contract_assets", "42501"),
    ("loader", "select contract_data.refresh_current_states()", "42501"),
    ("loader", "select contract_data.retain_from(0)", "42501"),
    ("loader", "select contract_data.condense_partition(0)", "42501"),
    ("loader", "update contract_data.settings set retained_from = 64", "42501"),
    ("loader", "delete from contract_data.retained_states", "42501"),
    ("reader", "select contract_data.retain_from(0)", "42501"),
    ("loader", "copy contract_data.settings to program 'true'", "42501"),
    ("reader", "insert into contract_data.entries select * from contract_data.entries limit 1", "42501"),
    ("reader", "delete from contract_data.key_states", "42501"),
    ("reader", "update contract_data.ingestion_progress set folded = false", "42501"),
    ("reader", "truncate contract_data.key_states", "42501"),
    ("reader", "create table contract_data.mine ()", "42501"),
    ("reader", "create temporary table mine ()", "42501"),
    ("reader", "select contract_data.ensure_partition(1000000)", "42501"),
    ("reader", "select contract_data.tend_partition(1)", "42501"),
    ("reader", "select contract_data.fold_pending(1)", "42501"),
    ("reader", "select contract_data.finish_window(1, 1)", "42501"),
    ("reader", "select contract_data.unhint_window(gen_random_uuid())", "42501"),
];

#[tokio::test]
async fn a_reader_writes_nothing_even_where_it_could() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    roles.world.database.execute("grant insert on contract_data.roles to reader").await;
    let reader = connect(&roles.url("reader")).await;
    let told =
        reader.batch_execute("insert into contract_data.roles values ('x', 'loader')").await.unwrap_err();
    assert_eq!(told.code().unwrap().code(), "25006", "{told:?}");
}

#[tokio::test]
async fn each_migrate_grants_exactly_what_the_duties_want() {
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    // Objects that a later migration may add, and rights that somebody may have granted by hand.
    let owner = connect(&roles.url("owner")).await;
    let later = "create table contract_data.later (x int);
        create function contract_data.later() returns int language sql security definer
          set search_path = pg_catalog, pg_temp as 'select 1';
        grant truncate on contract_data.entries to loader;
        grant update (network) on contract_data.settings to loader;
        grant insert on contract_data.entries to reader;
        grant execute on function contract_data.refresh_current_states() to reader;
        revoke insert on contract_data.entries from loader";
    owner.batch_execute(later).await.unwrap();
    connect(&roles.url("reader")).await.batch_execute("select * from contract_data.later").await.unwrap();
    for role in ["loader", "reader"] {
        roles.refused(role, "select contract_data.later()", "42501").await;
    }

    roles.succeeds("owner", "migrate").await;

    assert_eq!(roles.value(RIGHTS).await, LOADER_WRITES);
    roles.refused("loader", "update contract_data.settings set network = 'mine'", "42501").await;
    roles
        .refused("reader", "insert into contract_data.entries select * from contract_data.entries", "42501")
        .await;
    roles.refused("reader", "select contract_data.refresh_current_states()", "42501").await;
    roles.succeeds("loader", "run").await;
}

#[tokio::test]
async fn functions_with_the_owners_rights_are_pinned_and_not_for_everybody() {
    let definers =
        "select string_agg(p.proname || ' ' || coalesce(array_to_string(p.proconfig, ' '), '-') || ' '
          || has_function_privilege('public', p.oid, 'execute'), E'\\n' order by p.proname collate \"C\")
        from pg_proc p where p.pronamespace = 'contract_data'::regnamespace and p.prosecdef";
    let expected = "\
add_assets search_path=pg_catalog, pg_temp false
archive_snapshot search_path=pg_catalog, pg_temp false
begin_snapshot search_path=pg_catalog, pg_temp false
check_replaced_window search_path=pg_catalog, pg_temp false
check_snapshot search_path=pg_catalog, pg_temp false
claim_window search_path=pg_catalog, pg_temp false
ensure_partition search_path=pg_catalog, pg_temp false
fail_window search_path=pg_catalog, pg_temp false
finish_snapshot search_path=pg_catalog, pg_temp work_mem=64MB jit=off false
finish_window search_path=pg_catalog, pg_temp false
fold_pending search_path=pg_catalog, pg_temp false
fold_windows search_path=pg_catalog, pg_temp work_mem=64MB jit=off enable_mergejoin=off enable_nestloop=off false
hint_window search_path=pg_catalog, pg_temp false
mark_archived search_path=pg_catalog, pg_temp false
name_assets search_path=pg_catalog, pg_temp false
record_snapshot_table search_path=pg_catalog, pg_temp false
record_table search_path=pg_catalog, pg_temp false
replace_window search_path=pg_catalog, pg_temp work_mem=64MB jit=off false
store_fingerprint search_path=pg_catalog, pg_temp false
store_fingerprint_hash search_path=pg_catalog, pg_temp false
store_schedule_start search_path=pg_catalog, pg_temp false
tend_partition search_path=pg_catalog, pg_temp lock_timeout=5min false
unhint_window search_path=pg_catalog, pg_temp false";
    let by_hand = World::new(1..=16).await;
    assert_eq!(by_hand.database.value(definers).await, expected, "also without the three roles");
    let roles = Roles::set_up().await;
    roles.succeeds("owner", "migrate").await;
    assert_eq!(roles.value(definers).await, expected);
    let everybodys = "select count(*) from pg_proc p where p.pronamespace = 'contract_data'::regnamespace
        and has_function_privilege('public', p.oid, 'execute')";
    assert_eq!(roles.value(everybodys).await, "0");
    // A pinned function never becomes a part of the expression that calls it; scval, which is pinned, calls these for each value.
    let unpinned = "select string_agg(p.proname, ' ' order by p.proname collate \"C\")
        from pg_proc p where p.pronamespace = 'contract_data'::regnamespace
        and not coalesce(p.proconfig[1] like 'search_path=pg_catalog, pg_temp', false)";
    assert_eq!(roles.value(unpinned).await, "xdr_address xdr_error xdr_int32 xdr_int64 xdr_text");
}

#[tokio::test]
async fn only_who_may_sets_the_roles_up() {
    let server = PrivateServer::start(&[]);
    let database = Database::create_on(server.url()).await;
    database.execute("create role admin login createrole password 'admin'").await;
    let mut url = Url::parse(&database.url()).unwrap();
    url.set_username("admin").unwrap();
    url.set_password(Some("admin")).unwrap();
    let told = connect(url.as_str()).await.batch_execute(&script(ROLES)).await.unwrap_err();
    assert!(
        format!("{told:?}").contains("run this as a superuser, or as the owner of the database"),
        "{told:?}"
    );

    database.execute("create schema contract_data").await;
    let told = database.connect().await.batch_execute(&script(ROLES)).await.unwrap_err();
    assert!(format!("{told:?}").contains("name it with -v owner=postgres"), "{told:?}");
    let none = "select count(*) from pg_roles where rolname in ('owner', 'loader', 'reader')";
    assert_eq!(database.value(none).await, "0", "all or nothing");
}

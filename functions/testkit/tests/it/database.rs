use testkit::Database;

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(Database::create(), Database::create());
    one.execute("CREATE TABLE mine (n int, t text); INSERT INTO mine VALUES (1, 'a'), (2, NULL)").await;
    assert_eq!(one.rows("SELECT n, t FROM mine ORDER BY n").await, ["1 | a", "2 | -"]);
    assert_eq!(other.value("SELECT to_regclass('mine') IS NULL").await, "t");
    assert_eq!(one.value("SELECT current_database()").await, one.name());
}

#[tokio::test]
async fn a_database_goes_with_its_sessions() {
    let witness = Database::create().await;
    let database = Database::create().await;
    let name = database.name().to_owned();
    let session = database.connect().await;
    session.batch_execute("BEGIN; CREATE TABLE held ()").await.unwrap();
    drop(database);
    let left = witness.value(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")).await;
    assert_eq!(left, "0");
    session.batch_execute("SELECT 1").await.unwrap_err();
}

#[tokio::test]
async fn what_a_crashed_run_left_is_swept_and_what_is_in_use_is_not() {
    let young = Database::create().await;
    let old = "cdl_test_1500000000_00000000000000000000000000000000";
    // Another run of this test may have swept it, or made it, at the same time.
    let _ = young.connect().await.batch_execute(&format!("CREATE DATABASE {old}")).await;
    let _sweeps = Database::create().await;
    let names = young.rows("SELECT datname FROM pg_database").await;
    assert!(!names.iter().any(|name| name == old));
    assert!(names.iter().any(|name| name == young.name()));
}

#[tokio::test]
async fn eight_at_once() {
    let databases = futures::future::join_all((0..8).map(|_| Database::create())).await;
    let names: std::collections::HashSet<_> = databases.iter().map(Database::url).collect();
    assert_eq!(names.len(), 8);
}

use testkit::database::connect;
use testkit::{Database, PrivateServer, Stop};

#[tokio::test]
async fn a_private_server_restarts_dies_and_comes_back_on_its_port() {
    let server = PrivateServer::start(&["max_connections=17"]);
    let database = Database::create_on(server.url()).await;
    database.execute("CREATE TABLE kept AS SELECT 1 AS n").await;
    let session = connect(&database.url()).await;

    server.restart(Stop::Immediate);
    session.batch_execute("SELECT 1").await.unwrap_err();
    assert_eq!(database.rows("SELECT n FROM kept").await, ["1"]);

    let first = server.pid();
    server.kill9();
    server.start_again();
    assert_ne!(server.pid(), first);
    assert_eq!(database.rows("SELECT n FROM kept").await, ["1"]);
    assert_eq!(database.value("SHOW max_connections").await, "17");

    server.stop(Stop::Fast);
    assert!(tokio_postgres::connect(server.url(), tokio_postgres::NoTls).await.is_err());
}

//! TLS: a valid certificate is accepted, every invalid one is refused, and the error says why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{Authority, Certificate, Chain, Database, Flaw, PrivateServer, Request, Source};

use crate::oracle;
use crate::support::World;

/// A server's certificate, and the expected error; `None` if it must be accepted.
type Case<'a> = (&'static str, Option<Certificate>, Option<&'a str>);

/// A certificate that each of these servers shows; `None` is a server without TLS.
fn cases<'a>(authority: &Authority, without_tls: &'a str) -> Vec<Case<'a>> {
    let stranger = Authority::new("a stranger");
    vec![
        ("good", Some(authority.server(Flaw::None)), None),
        ("expired", Some(authority.server(Flaw::Expired)), Some("certificate expired")),
        ("not yet valid", Some(authority.server(Flaw::NotYetValid)), Some("certificate not valid yet")),
        (
            "for another host",
            Some(authority.server(Flaw::WrongHost)),
            Some("not valid for name \"localhost\""),
        ),
        ("of an unknown authority", Some(stranger.server(Flaw::None)), Some("UnknownIssuer")),
        ("self-signed", Some(authority.server(Flaw::SelfSigned)), Some("UnknownIssuer")),
        ("for clients", Some(authority.server(Flaw::ForClients)), Some("server authentication")),
        ("without TLS", None, Some(without_tls)),
    ]
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A chain of ledgers 1 to 16, honest.
fn chain() -> Chain {
    Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16)
}

#[tokio::test]
async fn postgresql_is_let_in_with_a_good_certificate_and_refused_with_a_bad_one() {
    let server = PrivateServer::start(&[]);
    let world = World::with(Database::create_on(server.url()).await, chain(), oracle::ledgers(1..=16)).await;
    let authority = Authority::new("the authority");
    let folder = tempfile::tempdir().unwrap();
    let ca = file(&folder, "ca.pem", &authority.pem());
    let url = |mode: &str| {
        let base = world.database.url().replace("127.0.0.1", "localhost");
        format!("{base}?sslmode={mode}&sslrootcert={}", text(&ca))
    };
    for (shown, certificate, reason) in cases(&authority, "server does not support TLS") {
        server.serve_tls(certificate.as_ref()).await;
        for mode in ["verify-full", "verify-ca", "require"] {
            // verify-ca accepts another host's certificate, and no other invalid one; with a CA file, so does require.
            let reason = reason.filter(|_| mode == "verify-full" || shown != "for another host");
            let url = url(mode);
            match reason {
                None => {
                    world.ingestctl("verify").env("DATABASE_URL", url).run().await.expect_code(0);
                    eprintln!("postgresql {mode:<11} | {shown:<23} | let in");
                }
                Some(reason) => {
                    let told = world.fails("verify", &[("DATABASE_URL", &url)], 5).await;
                    assert!(told.contains(reason), "{mode}, {shown}: {told}");
                    eprintln!("postgresql {mode:<11} | {shown:<23} | {told}");
                }
            }
        }
    }
    // The server has no TLS now: a client that requires TLS fails, and one that prefers it connects.
    let told = world.fails("verify", &[("DATABASE_URL", &url("require"))], 5).await;
    assert!(told.contains("server does not support TLS"), "{told}");
    world.ingestctl("verify").env("DATABASE_URL", url("prefer")).run().await.expect_code(0);
    // Without a CA file, require lets in anybody.
    server.serve_tls(Some(&Authority::new("a stranger").server(Flaw::None))).await;
    let url = format!("{}?sslmode=require", world.database.url());
    world.ingestctl("verify").env("DATABASE_URL", url).run().await.expect_code(0);
}

#[tokio::test]
async fn postgresql_knows_this_client_by_its_certificate() {
    let server = PrivateServer::start(&[]);
    let world = World::with(Database::create_on(server.url()).await, chain(), oracle::ledgers(1..=16)).await;
    let (authority, clients) = (Authority::new("the authority"), Authority::new("the authority of clients"));
    server.serve_tls(Some(&authority.server(Flaw::None))).await;
    world.database.execute("create role certified superuser login password 'canary'").await;
    server.know_by_certificate("certified", &clients).await;
    let folder = tempfile::tempdir().unwrap();
    let pem = |name: &str, pem: &str, mode: u32| {
        let path = file(&folder, name, pem);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        text(&path).to_owned()
    };
    let (ours, other) = (clients.client(), Authority::new("a stranger").client());
    let (cert, key) = (pem("cert.pem", &ours.certificate, 0o644), pem("key.pem", &ours.key, 0o600));
    let (other_cert, other_key) =
        (pem("other.pem", &other.certificate, 0o644), pem("other-key.pem", &other.key, 0o600));
    let open_key = pem("open-key.pem", &ours.key, 0o644);
    let base = world.database.url();
    let place = base.split_once('@').unwrap().1;
    let url = format!("postgresql://certified:canary@{place}?sslmode=require");
    let with = |cert: &str, key: &str| format!("{url}&sslcert={cert}&sslkey={key}");

    let told = world.fails("verify", &[("DATABASE_URL", &url)], 5).await;
    assert!(told.contains("requires a valid client certificate"), "{told}");
    eprintln!("client certificate | none       | {told}");
    let told = world.fails("verify", &[("DATABASE_URL", &with(&other_cert, &other_key))], 5).await;
    eprintln!("client certificate | of another | {told}");
    for (cert, key, named) in [
        (&cert, &open_key, "DB_CLIENT_KEY: "),
        (&cert, &"/no/such/file".to_owned(), "DB_CLIENT_KEY: "),
        (&cert, &other_key, "DB_CLIENT_CERT: "),
        (&key, &key, "DB_CLIENT_CERT: "),
    ] {
        let told = world.fails("verify", &[("DATABASE_URL", &with(cert, key))], 2).await;
        assert!(told.contains(named), "{told}");
        eprintln!("client certificate | unusable   | {told}");
    }
    world.ingestctl("run").env("DATABASE_URL", with(&cert, &key)).run().await.expect_code(0);
    // The same by variables of either family.
    let (host, rest) = place.split_once(':').unwrap();
    let (port, name) = rest.split_once('/').unwrap();
    for variables in [
        [
            "DB_HOST",
            "DB_PORT",
            "DB_NAME",
            "DB_USER",
            "DB_PASSWORD",
            "DB_SSLMODE",
            "DB_CLIENT_CERT",
            "DB_CLIENT_KEY",
        ],
        ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY"],
    ] {
        let values = [host, port, name, "certified", "canary", "require", &cert, &key];
        let program =
            world.ingestctl("verify").env("DATABASE_URL", "").envs(variables.into_iter().zip(values));
        program.run().await.expect_code(0);
    }
    world.expect_whole(&[1..=16]).await;
}

#[tokio::test]
async fn a_password_file_is_used_unless_others_may_read_it() {
    let world = World::new(1..=16).await;
    let url = world.database.url();
    let (login, place) = url.split_once('@').unwrap();
    let (user, password) = login.split_once("://").unwrap().1.split_once(':').unwrap();
    let without = format!("postgresql://{user}@{place}");
    let (address, name) = place.split_once('/').unwrap();
    let home = tempfile::tempdir().unwrap();
    let line = format!("other.example:*:*:*:canary\n{address}:{name}:{user}:{password}\n");
    let path = file(&home, ".pgpass", &line);
    let run = |variables: [(&'static str, String); 2]| world.ingestctl("status").envs(variables);
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let ways = || {
        [
            [("DATABASE_URL", without.clone()), ("HOME", text(home.path()).to_owned())],
            [("DATABASE_URL", without.clone()), ("PGPASSFILE", text(&path).to_owned())],
            [
                ("DATABASE_URL", format!("{without}?passfile={}", text(&path))),
                ("PGPASSFILE", "/nowhere".to_owned()),
            ],
        ]
    };
    allow(0o600);
    for way in ways() {
        run(way).run().await.expect_code(0);
    }
    allow(0o640);
    for way in ways() {
        let refused = run(way).env("MAX_RETRIES", "0").run().await.expect_code(5);
        assert!(refused.stderr.contains("others may access it"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(password), "{}", refused.stderr);
    }
    // A given password wins, and the file is not read.
    let given = run([("DATABASE_URL", url.clone()), ("PGPASSFILE", text(&path).to_owned())]);
    let output = given.run().await.expect_code(0);
    assert!(!output.stderr.contains("password file"), "{}", output.stderr);
}

#[tokio::test]
async fn a_bundle_of_many_authorities_is_searched_for_the_right_one() {
    let server = PrivateServer::start(&[]);
    let world = World::with(Database::create_on(server.url()).await, chain(), oracle::ledgers(1..=16)).await;
    let authority = Authority::new("the authority");
    server.serve_tls(Some(&authority.server(Flaw::None))).await;
    let strangers: String = (0..120).map(|n| Authority::new(&format!("authority {n}")).pem()).collect();
    let folder = tempfile::tempdir().unwrap();
    let whole = file(&folder, "whole.pem", &format!("{strangers}{}", authority.pem()));
    let without = file(&folder, "without.pem", &strangers);
    let url = |ca: &Path| {
        let base = world.database.url().replace("127.0.0.1", "localhost");
        format!("{base}?sslmode=verify-full&sslrootcert={}", text(ca))
    };
    world.ingestctl("verify").env("DATABASE_URL", url(&whole)).run().await.expect_code(0);
    let told = world.fails("verify", &[("DATABASE_URL", &url(&without))], 5).await;
    assert!(told.contains("UnknownIssuer"), "{told}");
}

#[tokio::test]
async fn a_source_is_let_in_with_a_good_certificate_and_refused_with_a_bad_one() {
    let world = World::new(1..=16).await;
    let authority = Authority::new("the authority");
    let folder = tempfile::tempdir().unwrap();
    let ca = file(&folder, "ca.pem", &authority.pem());
    let serve = |certificate: Option<&Certificate>| {
        let honest = chain();
        let answer = move |request: Request| honest.answer(request);
        match certificate {
            Some(certificate) => Source::serve_tls(answer, certificate, None),
            None => Source::serve(answer),
        }
    };
    for (shown, certificate, reason) in cases(&authority, "InvalidContentType").into_iter().rev() {
        let source = serve(certificate.as_ref());
        let endpoint = source.url().replace("http://127.0.0.1", "https://localhost");
        let trust = [("FLIGHT_ENDPOINT", endpoint.as_str()), ("FLIGHT_CA_CERT", text(&ca))];
        match reason {
            None => {
                world.ingestctl("run").envs(trust).run().await.expect_code(0);
                eprintln!("source | {shown:<23} | let in");
            }
            Some(reason) => {
                let told = world.fails("run", &trust, 3).await;
                assert!(told.contains(reason), "{shown}: {told}");
                assert_eq!(source.authorizations(), Vec::new(), "{shown}: it was asked");
                eprintln!("source | {shown:<23} | {told}");
                world.expect_nothing().await;
            }
        }
    }
    world.expect_whole(&[1..=16]).await;
    // Without the file, the system's authorities decide, and this one is not among them.
    let source = serve(Some(&authority.server(Flaw::None)));
    let told = world.fails("run", &[("FLIGHT_ENDPOINT", &source.url())], 3).await;
    assert!(told.contains("UnknownIssuer"), "{told}");
}

#[tokio::test]
async fn distrust_is_not_tried_again() {
    let server = PrivateServer::start(&[]);
    let world = World::with(Database::create_on(server.url()).await, chain(), oracle::ledgers(1..=16)).await;
    let authority = Authority::new("the authority");
    let folder = tempfile::tempdir().unwrap();
    let ca = file(&folder, "ca.pem", &Authority::new("a stranger").pem());
    server.serve_tls(Some(&authority.server(Flaw::None))).await;
    let honest = chain();
    let source =
        Source::serve_tls(move |request| honest.answer(request), &authority.server(Flaw::None), None);

    let url = format!("{}?sslmode=verify-ca&sslrootcert={}", world.database.url(), text(&ca));
    let trust = [("FLIGHT_ENDPOINT", source.url()), ("FLIGHT_CA_CERT", text(&ca).to_owned())];
    for (output, code) in [
        (world.ingestctl("run").env("DATABASE_URL", url).env("MAX_RETRIES", "9").run().await, 5),
        (world.ingestctl("run").envs(trust).env("MAX_RETRIES", "9").run().await, 3),
    ] {
        let output = output.expect_code(code);
        assert!(output.stderr.contains("UnknownIssuer"), "{}", output.stderr);
        assert!(!output.stderr.contains("retrying"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_source_that_wants_to_know_its_clients_knows_this_one_by_its_certificate() {
    let world = World::new(1..=16).await;
    let authority = Authority::new("the authority");
    let clients = Authority::new("the authority of clients");
    let honest = chain();
    let source = Source::serve_tls(
        move |request| honest.answer(request),
        &authority.server(Flaw::None),
        Some(&clients),
    );
    let folder = tempfile::tempdir().unwrap();
    let ca = file(&folder, "ca.pem", &authority.pem());
    let (ours, other) = (clients.client(), Authority::new("a stranger").client());
    let pem = |name: &str, text: &str| file(&folder, name, text).to_str().unwrap().to_owned();
    let (cert, key) = (pem("cert.pem", &ours.certificate), pem("key.pem", &ours.key));
    let (other_cert, other_key) = (pem("other.pem", &other.certificate), pem("other-key.pem", &other.key));
    let endpoint = source.url();
    let trust = [("FLIGHT_ENDPOINT", endpoint.as_str()), ("FLIGHT_CA_CERT", text(&ca))];
    let with = |cert: &str, key: &str| {
        let identity = [("FLIGHT_CLIENT_CERT", cert.to_owned()), ("FLIGHT_CLIENT_KEY", key.to_owned())];
        world.ingestctl("run").envs(trust).envs(identity).env("LOG_LEVEL", "error").env("MAX_RETRIES", "0")
    };

    let told = world.fails("run", &trust, 3).await;
    eprintln!("client certificate | none        | {told}");
    let refused = with(&other_cert, &other_key).run().await.expect_code(3);
    eprintln!("client certificate | of another  | {}", refused.stderr.trim());
    assert_eq!(source.authorizations(), Vec::new(), "nobody was let in");
    world.expect_nothing().await;

    let (empty, broken) = (pem("empty.pem", ""), pem("broken.pem", "-----BEGIN PRIVATE KEY-----\nx\n"));
    for (cert, key, named) in [
        (empty.as_str(), key.as_str(), "FLIGHT_CLIENT_CERT"),
        (&cert, &broken, "FLIGHT_CLIENT_KEY"),
        (&cert, &other_key, "FLIGHT_ENDPOINT"),
        (&cert, "/no/such/file", "FLIGHT_CLIENT_KEY"),
    ] {
        let output = with(cert, key).run().await.expect_code(2);
        assert!(output.stderr.contains(&format!("configuration: {named}: ")), "{}", output.stderr);
    }

    with(&cert, &key).run().await.expect_code(0);
    eprintln!("client certificate | ours        | let in");
    world.expect_whole(&[1..=16]).await;
}

//! Secrets appear in no output, at any log level and with any error.

use testkit::port::{closed_port, silent_port};
use testkit::{Answer, Authority, Chain, Flaw, Output, Program, Secret, Source};

use crate::oracle;
use crate::support::World;

const TOKEN: &str = "canary-token-8c1f";
const AWS_SECRET: &str = "canary-aws-4b7d";
const PASSWORD: &str = "canary-password-5e2a";

/// Fails when the output holds a canary, or the password of the server that the tests run on.
fn expect_silence(world: &World, what: &str, output: &Output) {
    let url = world.database.url();
    let real = url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1;
    for secret in [TOKEN, AWS_SECRET, PASSWORD, real] {
        for (name, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what}: a secret on {name}");
        }
    }
}

#[tokio::test]
async fn no_output_holds_a_secret() {
    let world = World::on_s3(1..=16).await;
    let closed = closed_port();
    let nowhere = format!("http://{}", closed.address());
    let url = world.database.url();
    let (login, place) = url.split_once('@').unwrap();
    let wrong_password = format!("{}:{PASSWORD}@{place}", login.rsplit_once(':').unwrap().0);
    let unreachable = format!("postgresql://postgres:{PASSWORD}@{}/postgres", closed.address());
    let broken = format!("postgresql://postgres:{PASSWORD}@localhost:port/postgres");
    let keywords = format!("host=127.0.0.1 password={PASSWORD} frobnicate=yes");
    let failing: [(&str, &str, &str, i32); 9] = [
        ("run", "DATABASE_URL", &wrong_password, 5),
        ("status", "DATABASE_URL", &unreachable, 5),
        ("verify", "DATABASE_URL", &broken, 2),
        ("verify", "DATABASE_URL", &keywords, 2),
        ("run", "FLIGHT_ENDPOINT", &nowhere, 3),
        ("run", "FLIGHT_ENDPOINT", "http://192.0.2.1:8816", 2),
        ("run", "AWS_ENDPOINT_URL", &nowhere, 4),
        ("run", "STAGING_URL", "s3://cdl-test-no-such-bucket", 4),
        ("run", "NETWORK", "testnet", 5),
    ];
    for level in ["debug", "trace"] {
        let program = |line: &str| -> Program {
            let program = world.ingestctl(line).env("LOG_LEVEL", level).env("MAX_RETRIES", "0");
            program.env("FLIGHT_TOKEN", TOKEN).env("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        };
        for (line, name, value, code) in failing {
            let output = program(line).env(name, value).run().await.expect_code(code);
            expect_silence(&world, &format!("{line}, {name}, {level}"), &output);
        }
        let cut = Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16).cut_after(0);
        world.source.answer_with(move |request| cut.answer(request));
        expect_silence(&world, "a cut stream", &program("run").run().await.expect_code(3));
        world.expect_nothing().await;
    }

    let honest = Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16);
    world.source.answer_with(move |request| honest.answer(request));
    for line in ["run", "status", "verify", "replay -s 1 -e 16 --dry-run"] {
        let program = world.ingestctl(line).env("LOG_LEVEL", "trace").env("FLIGHT_TOKEN", TOKEN);
        let output = program.env("AWS_SECRET_ACCESS_KEY", AWS_SECRET).run().await.expect_code(0);
        assert!(output.stderr.len() > 100, "{line}: trace says more than nothing");
        expect_silence(&world, line, &output);
    }
    let sent = world.source.authorizations();
    assert!(sent.contains(&Some(format!("Bearer {TOKEN}"))), "the token went to the source alone");
}

/// Fails when the output holds one of these.
fn expect_none_of(secrets: &[&str], what: &str, output: &Output) {
    for (name, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        for secret in secrets {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what}: a secret on {name}");
        }
    }
}

/// The login of the world's database, as its URL has it: host, port, name, user, password.
fn login_of(world: &World) -> [String; 5] {
    let url = url::Url::parse(&world.database.url()).unwrap();
    let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap().to_string());
    let password = url.password().unwrap().to_owned();
    [host, port, world.database.name().to_owned(), url.username().to_owned(), password]
}

#[tokio::test]
async fn no_output_holds_a_secret_of_the_secrets_manager() {
    let world = World::new(1..=16).await;
    let [host, port, name, user, real] = login_of(&world);
    let login = |password: &str| format!(r#"{{"username":"{user}","password":"{password}"}}"#);
    let (good, wrong) = (Secret::create(&login(&real)).await, Secret::create(&login(PASSWORD)).await);
    let broken =
        Secret::create(&format!(r#"{{"username":"u","password":["{PASSWORD}"],"port":"{TOKEN}"}}"#)).await;
    let token = Secret::create(TOKEN).await;
    let unfit = Secret::create(&format!("{TOKEN}\u{7}")).await;
    world.source.require_token(TOKEN);
    let secrets = [real.as_str(), PASSWORD, TOKEN, AWS_SECRET];
    for level in ["error", "trace"] {
        let with = |line: &str, database: &Secret, flight: &Secret| -> Program {
            let program =
                world.ingestctl(line).env("LOG_LEVEL", level).env("MAX_RETRIES", "0").envs(database.env());
            let place = [("DB_HOST", &host), ("DB_PORT", &port), ("DB_NAME", &name)];
            program
                .env("DATABASE_URL", "")
                .envs(place)
                .env("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
                .env("DB_SECRET_ARN", database.arn())
                .env("FLIGHT_TOKEN_SECRET_ARN", flight.arn())
        };
        for (what, program, code) in [
            ("a wrong password", with("run", &wrong, &token), 5),
            ("a broken secret", with("run", &broken, &token), 2),
            ("a token that no header takes", with("run", &good, &unfit), 2),
            ("a token that is refused", with("run", &good, &wrong), 2),
            (
                "a panic",
                with("replay -s 1 -e 16 --force", &good, &token)
                    .env("FAILPOINTS", "claimed=panic;removed=panic")
                    .env("RUST_BACKTRACE", "full"),
                1,
            ),
            ("a status", with("status", &good, &token), 0),
            ("a load", with("replay -s 1 -e 16 --force", &good, &token), 0),
        ] {
            let output = program.run().await;
            expect_none_of(&secrets, &format!("{what}, {level}"), &output);
            if what == "a panic" {
                assert!(output.stderr.contains("panicked"), "{}", output.stderr);
                assert_ne!(output.code, Some(0));
            } else if what == "a token that is refused" {
                assert_ne!(output.code, Some(0), "{what}: {}", output.stderr);
            } else {
                output.expect_code(code);
            }
        }
    }
    let sent = world.source.authorizations();
    assert!(sent.contains(&Some(format!("Bearer {TOKEN}"))), "the token went to the source alone");
}

#[tokio::test]
async fn a_wrong_secret_is_one_line_and_exit_code_5_after_two_readings() {
    let world = World::new(1..=16).await;
    let [host, port, name, user, _] = login_of(&world);
    let wrong = Secret::create(&format!(r#"{{"username":"{user}","password":"{PASSWORD}"}}"#)).await;
    let place = [("DB_HOST", host), ("DB_PORT", port), ("DB_NAME", name), ("DATABASE_URL", String::new())];
    let program = world.ingestctl("run").env("LOG_LEVEL", "error").envs(wrong.env()).envs(place);
    let output = program.env("DB_SECRET_ARN", wrong.arn()).run().await.expect_code(5);
    let told = crate::support::complaint(&output);
    assert!(
        told.contains("database: cannot connect: db error: FATAL: password authentication failed"),
        "{told}"
    );
    assert_eq!(wrong.reads(), 2);
}

#[tokio::test]
async fn no_output_holds_a_token_of_rds_or_a_key_of_a_client() {
    let server = testkit::PrivateServer::start(&[]);
    let database = testkit::Database::create_on(server.url()).await;
    let world = World::with(database, Chain::of_rows(oracle::ledgers(1..=16)), oracle::ledgers(1..=16)).await;
    let [_, port, name, user, real] = login_of(&world);
    let authority = Authority::new("the authority");
    server.serve_tls(Some(&authority.server(Flaw::None))).await;
    let client = authority.client();
    let folder = tempfile::tempdir().unwrap();
    let pem = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, cert) = (pem("ca.pem", &authority.pem()), pem("cert.pem", &client.certificate));
    let key = pem("key.pem", &client.key);
    let secrets = [real.as_str(), AWS_SECRET, "X-Amz-Signature=", client.line_of_key()];

    let iam = [
        ("DATABASE_URL", ""),
        ("DB_IAM_AUTH", "true"),
        ("DB_HOST", "localhost"),
        ("DB_PORT", &port),
        ("DB_NAME", &name),
        ("DB_USER", &user),
        ("DB_CA_CERT", &ca),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
        ("AWS_REGION", "us-east-1"),
        ("LOG_LEVEL", "trace"),
    ];
    // This PostgreSQL does not accept RDS tokens: one error.
    let output = world.ingestctl("run").envs(iam).run().await.expect_code(5);
    assert!(output.stderr.contains("password authentication failed"), "{}", output.stderr);
    expect_none_of(&secrets, "a token of RDS", &output);
    let told = world.ingestctl("run").envs(iam).env("AWS_REGION", "").run().await.expect_code(2);
    assert!(told.stderr.contains("DB_IAM_AUTH: requires AWS_REGION"), "{}", told.stderr);

    let honest = Chain::of_rows(oracle::ledgers(1..=16)).range(1..=16);
    let server_certificate = authority.server(Flaw::None);
    let source =
        Source::serve_tls(move |request| honest.answer(request), &server_certificate, Some(&authority));
    let mutual = [
        ("FLIGHT_ENDPOINT", source.url()),
        ("FLIGHT_CA_CERT", ca.clone()),
        ("FLIGHT_CLIENT_CERT", cert),
        ("FLIGHT_CLIENT_KEY", key.clone()),
        ("FLIGHT_TOKEN", TOKEN.to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
    ];
    let secrets = [secrets.as_slice(), &[TOKEN]].concat();
    let output = world.ingestctl("run").envs(mutual.clone()).env("FLIGHT_CLIENT_CERT", &key).run().await;
    expect_none_of(&secrets, "a key for a certificate", &output.expect_code(2));
    let output = world.ingestctl("run").envs(mutual).run().await.expect_code(0);
    expect_none_of(&secrets, "a client certificate", &output);
}

#[tokio::test]
async fn the_list_of_processes_holds_no_secret() {
    let world = World::new(1..=16).await;
    world.source.answer_with(|_| Answer::Silence);
    let program = world.ingestctl("run").env("FLIGHT_TOKEN", TOKEN).env("AWS_SECRET_ACCESS_KEY", AWS_SECRET);
    let running = program.spawn();
    crate::support::until("the source is asked", async || !world.source.requests().is_empty()).await;
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(arguments.contains("ingestctl"), "{arguments}");
    let [.., real] = login_of(&world);
    for secret in [TOKEN, AWS_SECRET, &real] {
        assert!(!arguments.contains(secret), "{arguments}");
    }
    // Its sessions are in the server's list too, which others read.
    let sessions = "select coalesce(string_agg(application_name || query, ' '), '') from pg_stat_activity
        where datname = current_database()";
    let sessions = world.database.value(sessions).await;
    assert!(sessions.contains("contract-data-loader") && !sessions.contains(&real), "{sessions}");
}

#[tokio::test]
async fn a_secrets_manager_that_never_answers_is_given_up_soon() {
    let (world, silent) = (World::new(1..=16).await, silent_port());
    let endpoint = format!("http://{}", silent.address());
    let variables = [
        ("FLIGHT_TOKEN_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:token"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let told = world.fails("run", &variables, 3).await;
    assert!(told.contains("occurred after 10s"), "{told}");
    world.expect_nothing().await;
}

//! Secrets appear in no output, however much is logged and whatever goes wrong.

use testkit::port::closed_port;
use testkit::{Chain, Output, Program};

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

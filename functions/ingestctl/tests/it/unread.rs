//! Outputs that nobody reads, as with `| head`: the command does its work and ends with its normal exit code.

use crate::support::World;

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let world = World::new(1..=40).await;
    let lines = [
        "migrate",
        "run",
        "replay -s 1 -e 40 --force",
        "replay -s 1 -e 40 --dry-run",
        "status",
        "verify",
        "assets list",
    ];
    for line in lines {
        for json in ["", " --json"] {
            let line = format!("{line}{json}");
            let program = world.ingestctl(&line).env("LOG_LEVEL", "debug");
            program.unread().run().await.expect_code(0);
        }
    }
    world.expect_whole(&[1..=40]).await;
}

#[tokio::test]
async fn a_failure_that_nobody_reads_keeps_its_exit_code() {
    let world = World::new(1..=40).await;
    world.succeeds("run").await;
    world.database.execute("delete from contract_data.entries where ledger_sequence = 7").await;
    for (line, code) in [("verify", 7), ("replay -s 30 -e 50", 3), ("replay -s 9 -e 1", 2)] {
        world.ingestctl(line).unread().run().await.expect_code(code);
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_said() {
    let world = World::new(1..=16).await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let program = world.ingestctl("status").stdout_to(full);
    let output = program.run().await.expect_code(1);
    assert!(
        output.stderr.contains("ingestctl: cannot write the result to stdout: No space left"),
        "{}",
        output.stderr
    );
}

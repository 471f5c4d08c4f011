use std::time::Duration;

use testkit::Program;

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script])
}

#[tokio::test]
async fn a_program_runs_in_the_given_environment_only() {
    let output = shell("env; echo oops >&2; exit 3").env("GIVEN", "yes").run().await.expect_code(3);
    let names: Vec<&str> = output.stdout.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(names.contains(&"GIVEN") && names.contains(&"PATH"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("CARGO") || name.starts_with("TEST_")), "{names:?}");
    assert_eq!(output.stderr, "oops\n");
}

#[tokio::test]
async fn a_program_is_waited_for_and_killed() {
    let mut running = shell("echo ready >&2; exec sleep 60").spawn();
    assert_eq!(running.wait_for_line("read").await, "ready");
    let output = running.kill9().await;
    assert_eq!((output.code, output.stderr.as_str()), (None, "ready\n"));
    assert!(output.duration < Duration::from_secs(30));
}

#[tokio::test]
#[should_panic(expected = "it does not end")]
async fn impatience_fails_the_test() {
    shell("exec sleep 60").patience(Duration::from_millis(100)).run().await;
}

#[tokio::test]
async fn much_output_is_no_deadlock() {
    let output = shell("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end").run().await.expect_code(0);
    assert_eq!(output.stdout.len(), 1_000_005);
}

#[tokio::test]
async fn a_program_that_nobody_reads_is_told_so() {
    // The shell's echo fails there; of a program that is not prepared for it, the signal takes the rest.
    let output = shell("trap '' PIPE; if echo hello; then exit 3; else exit 4; fi").unread().run().await;
    assert_eq!((output.expect_code(4).stdout.as_str()), "");
}

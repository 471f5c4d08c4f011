//! The exact text of --help: it is part of the product.

use testkit::Program;

async fn help(line: &str) -> String {
    let program = Program::new(env!("CARGO_BIN_EXE_ingestctl")).args(line.split_whitespace());
    program.run().await.expect_code(0).stdout
}

#[tokio::test]
async fn the_help_shows_commands_settings_examples_and_exit_codes() {
    insta::assert_snapshot!("help", help("--help").await);
}

#[tokio::test]
async fn the_short_help_fits_a_screen() {
    let text = help("-h").await;
    assert!(text.lines().count() <= 40, "{text}");
    insta::assert_snapshot!("short_help", text);
}

#[tokio::test]
async fn the_help_of_replay_explains_its_range() {
    insta::assert_snapshot!("replay_help", help("replay --help").await);
}

#[tokio::test]
async fn the_help_of_maintain_says_what_goes() {
    insta::assert_snapshot!("maintain_help", help("maintain --help").await);
}

#[tokio::test]
async fn the_version_is_told() {
    assert_eq!(help("--version").await, format!("ingestctl {}\n", env!("CARGO_PKG_VERSION")));
}

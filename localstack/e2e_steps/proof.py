"""Compares the result with the source, and reports what it cost."""

import statistics
import subprocess
from pathlib import Path

import duckdb

from e2e_steps.scene import PARTITION_LEDGERS, START, Scene, equal, expect, good, took

COLD_STARTS = 20


def verify(scene: Scene) -> None:
    """ingestctl verify compares every object, every row and the current state."""
    command, variables = scene.ingestctl("verify")
    print("$ " + " ".join(command))
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    print((done.stdout + done.stderr).strip())
    equal(done.returncode, 0, "the exit status of ingestctl verify")
    windows = scene.database.loaded().windows
    expect(done.stdout.startswith(f"{windows} windows"), f"it did not compare all {windows} windows")


def archive_counts(scene: Scene) -> None:
    """DuckDB counts as many rows in the archive as PostgreSQL has, in total and in one partition."""
    place = scene.work / "archive-of-the-bucket"
    for key in scene.objects("archive/"):
        file = place / key
        file.parent.mkdir(parents=True, exist_ok=True)
        scene.session.client("s3").download_file(scene.bucket(), key, str(file))
    ranges = scene.database.rows(
        "select ledger_sequence / %s * %s, count(*) from contract_data.entries group by 1 order by 1", PARTITION_LEDGERS, PARTITION_LEDGERS
    )
    found = _query(place, "select ledger_range, count(*) from files group by 1 order by 1")
    equal(found, ranges, "rows by ledger_range, DuckDB beside PostgreSQL")
    expect(len(found) >= 3, f"the archive has only {len(found)} ledger ranges")
    [[filtered, files]] = _query(place, f"select count(*), count(distinct filename) from files where ledger_range = {START}")
    equal(filtered, dict(ranges)[START], f"rows where ledger_range = {START}")
    print(f"select count(*) … where ledger_range = {START}: {filtered:,} rows of {sum(n for _, n in ranges):,}, from {files} files")


def _query(place: Path, query: str) -> list[tuple]:
    files = f"read_parquet('{place}/archive/contract_data/v1/**/*.parquet', hive_partitioning = true, filename = true)"
    return duckdb.connect().sql(query.replace("from files", f"from {files} as files")).fetchall()


def cold_starts(scene: Scene) -> None:
    """The time from exec to the answer of a cold function that finds nothing to do."""
    scene.good_run()
    milliseconds = []
    for number in range(COLD_STARTS):
        scene.ingest.configure(Description=f"cold start {number}")
        answer = scene.run()
        equal(good(answer)["windows"], [], "windows of a run that has nothing to do")
        logged = scene.ingest.logged(answer.request_id)
        expect(logged.figure("Init Duration"), f"it was no cold start: {logged.report}")
        milliseconds.append(took(logged))
    scene.figures["cold start to answer, nothing to do"] = (
        f"median {statistics.median(milliseconds):.0f} ms of {COLD_STARTS}, {min(milliseconds):.0f} to {max(milliseconds):.0f}"
    )
    print(scene.figures["cold start to answer, nothing to do"])

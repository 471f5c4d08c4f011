"""Runs the steps against a LocalStack, a PostgreSQL and programs that localstack/e2e has made ready:

    python -m e2e_steps WORK ENDPOINT DATABASE_URL ZIPS ARCHITECTURE BEGUN
"""

import signal
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from deployed import Problem
from deployed.session import Session
from deployed.stack import Stack
from e2e_steps import backfill, deployment, events, outages, proof, schedule, upgrade
from e2e_steps.database import Database
from e2e_steps.scene import FIRST, LEDGERS, Scene
from e2e_steps.source import Source

STEPS = [
    ("The roles of the database", deployment.bootstrap_roles),
    ("infra/deploy", deployment.deploy),
    ("The schema that maintain made", deployment.migrate),
    ("The schedule fires: windows, objects, logs, metrics", schedule.first_run),
    ("Two runs at once", schedule.two_at_once),
    ("A timeout shorter than the work", schedule.short_of_time),
    ("Killed in the middle of its COPY", schedule.killed),
    ("A backfill is planned", events.plan),
    ("A replay, the same again, and by force", events.replay),
    ("Events that are wrong", events.refusals),
    ("One large window", events.large_window),
    ("The source goes down and comes back", outages.source_down),
    ("The loader's password is rotated", outages.password_rotated),
    ("S3 refuses to write for a while", outages.s3_refuses),
    ("A backfill of 40 windows, beside the schedule", backfill.backfill),
    ("An upgrade under data", upgrade.upgrade),
    ("The schedule of maintain", schedule.maintenance),
    ("Twenty cold starts", proof.cold_starts),
    ("Is it what the source said?", proof.verify),
    ("DuckDB over the archive", proof.archive_counts),
]


def main() -> int:
    work, endpoint, database_url, zips, architecture, begun = sys.argv[1:]
    session = Session(endpoint)
    scene = Scene(
        root=Path(__file__).parents[2],
        work=Path(work),
        session=session,
        stack=Stack(session, "contract-data-loader", "contract-data-loader-code"),
        database=Database(database_url),
        source=Source(Path(work) / "bin" / "flight-source", Path(work) / "source.log", FIRST, LEDGERS),
        zips=Path(zips),
        architecture=architecture,
    )
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the source ends with this
    try:
        for title, step in STEPS:
            print(f"\n== {title} ({time.time() - int(begun):.0f} s)", flush=True)
            step(scene)
    except (Problem, ClientError, BotoCoreError) as problem:
        print(f"\ne2e: the step \"{title}\" failed: {problem}", file=sys.stderr)
        return 1
    finally:
        scene.source.stop()
    print(f"\n== What it took ({time.time() - int(begun):.0f} s)")
    for name, figure in scene.figures.items():
        print(f"{name:36} {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

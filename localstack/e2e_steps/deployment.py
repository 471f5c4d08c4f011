"""Deployment: from zips to a stack with a schema."""

import os

from deployed.roles import LOADER, OWNER, bootstrap, make_database
from e2e_steps.scene import PARTITION_LEDGERS, START, TIMEOUT, WINDOW_LEDGERS, Scene, equal, expect, good


def bootstrap_roles(scene: Scene) -> None:
    """Runs sql/bootstrap as an administrator does; from here on only its roles touch the data."""
    scene.database.url = make_database(scene.database.url, "stellar_contracts")
    scene.secrets = bootstrap(os.environ["PSQL"], scene.database.url, scene.stack)
    superuser = scene.database.value("select string_agg(rolname, ', ') from pg_roles where rolsuper and rolname like 'contract_data%'")
    equal(superuser, None, "superusers among the roles")


def deploy(scene: Scene) -> None:
    """Runs infra/deploy: zips, template, migration, schedules."""
    values = {
        "Architecture": scene.architecture,
        "FlightEndpoint": scene.source.endpoint,
        "OwnerSecretArn": scene.secrets[OWNER],
        "LoaderSecretArn": scene.secrets[LOADER],
        "DatabaseSslMode": "disable",  # the local server has no certificate
        "StartLedger": START,
        "WindowLedgers": WINDOW_LEDGERS,
        "PartitionLedgers": PARTITION_LEDGERS,
        "IngestTimeout": TIMEOUT,
        "MaintainTimeout": TIMEOUT,
    }
    said = scene.stack.deploy("--zips", str(scene.zips), *(f"{name}={value}" for name, value in values.items()))
    print(said.strip())
    for name, value in scene.stack.outputs().items():
        print(f"{name:24} {value}")
    for schedule in scene.schedules():
        equal(schedule["State"], "ENABLED", f"the state of the schedule {schedule['Name']}")


def migrate(scene: Scene) -> None:
    """infra/deploy had maintain create the schema under the owner's role; a second time has no effect."""
    expect(scene.database.value("select to_regclass('contract_data.entries') is not null"), "there is no table contract_data.entries")
    owner = scene.database.value("select tableowner from pg_tables where schemaname = 'contract_data' and tablename = 'entries'")
    equal(owner, OWNER, "the owner of contract_data.entries")
    size = scene.database.value("select partition_ledgers from contract_data.settings")
    equal(size, PARTITION_LEDGERS, "partition_ledgers of the settings")
    answer = good(scene.maintain.invoke(scene.event("migrate")))
    equal(answer.get("applied"), [], "migrations of a second migrate")
    print(f"migrate.json: {answer}")

"""From zips to a stack with a schema."""

import os
import secrets
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from e2e_steps.scene import PARTITION_LEDGERS, START, TIMEOUT, WINDOW_LEDGERS, Scene, equal, expect, good

DATABASE = "stellar_contracts"
OWNER, LOADER, READER = "contract_data_owner", "contract_data_loader", "contract_data_reader"


def deploy(scene: Scene) -> None:
    """Roles, secrets, zips, and the template as it is."""
    server = urlsplit(scene.database.url)
    passwords = bootstrap_roles(scene)
    shared = {"host": server.hostname, "port": server.port, "dbname": DATABASE}
    arns = {
        role: scene.stack.put_secret(f"e2e/{role}", {"username": role, "password": passwords[role], **shared}) for role in (OWNER, LOADER)
    }
    scene.stack.make_code_bucket()
    keys = {function: scene.stack.upload(file, function, "x86_64") for function, file in scene.zips.items()}
    outputs = scene.stack.deploy(
        scene.root / "infra" / "template.yaml",
        {
            "CodeBucket": scene.stack.code_bucket,
            "IngestCodeKey": keys["ingest"],
            "MaintainCodeKey": keys["maintain"],
            "Architecture": "x86_64",
            "FlightEndpoint": scene.source.endpoint,
            "OwnerSecretArn": arns[OWNER],
            "LoaderSecretArn": arns[LOADER],
            "DatabaseSslMode": "disable",  # the local server has no certificate
            "StartLedger": str(START),
            "WindowLedgers": str(WINDOW_LEDGERS),
            "PartitionLedgers": str(PARTITION_LEDGERS),
            "IngestTimeout": str(TIMEOUT),
            "MaintainTimeout": str(TIMEOUT),
        },
    )
    for name in ("IngestFunction", "MaintainFunction", "StagingBucketName", "DeadLetterQueueUrl", "BackfillStateMachine", "ScheduleGroup"):
        print(f"{name:22} {outputs[name]}")


def bootstrap_roles(scene: Scene) -> dict[str, str]:
    """Runs sql/bootstrap as an administrator of the database would. Returns the passwords of the roles."""
    raise NotImplementedError


def migrate(scene: Scene) -> None:
    """The schema, by the function that owns it; a second time without effect."""
    first = good(scene.maintain.invoke(scene.event("migrate")))
    print(f"migrate.json: {first}")
    expect(scene.database.value("select to_regclass('contract_data.entries') is not null"), "there is no table contract_data.entries")
    owner = scene.database.value("select tableowner from pg_tables where schemaname = 'contract_data' and tablename = 'entries'")
    equal(owner, OWNER, "the owner of contract_data.entries")
    equal(
        scene.database.value("select partition_ledgers from contract_data.settings"), PARTITION_LEDGERS, "partition_ledgers of the settings"
    )
    good(scene.maintain.invoke(scene.event("migrate")))

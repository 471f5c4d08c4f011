"""The command line behind localstack/stack, once the servers run. Their addresses are in the environment that it makes."""

import json
import os
import shlex
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from deployed import Problem
from deployed.functions import Function
from deployed.roles import LOADER, OWNER, bootstrap, make_database
from deployed.schedules import deployed_schedules, fire
from deployed.session import Session
from deployed.stack import Stack

DATABASE = "stellar_contracts"
EVENTS = Path(__file__).parents[1] / "events"


def deploy(stack: Stack, arguments: list[str]) -> None:
    """deploy [NAME=VALUE…]: roles and secrets, then infra/deploy with these parameters of the template."""
    database = make_database(os.environ["STACK_SERVER_URL"], DATABASE)
    arns = bootstrap(os.environ["STACK_PSQL"], database, stack, os.environ.get("STACK_DATABASE_FOR_FUNCTIONS", ""))
    values = {
        "Architecture": os.environ["STACK_ARCHITECTURE"],
        "FlightEndpoint": os.environ["STACK_FLIGHT"],
        "OwnerSecretArn": arns[OWNER],
        "LoaderSecretArn": arns[LOADER],
        "DatabaseSslMode": "disable",  # the local server has no certificate
    }
    given = [f"{name}={value}" for name, value in values.items()] + arguments  # the last of a name wins
    print(stack.deploy("--zips", os.environ["STACK_ZIPS"], *given), end="")


def invoke(stack: Stack, arguments: list[str]) -> None:
    """invoke EVENT.json: sends it to its function, and prints the answer."""
    [name] = arguments
    file = next((one for one in (Path(name), EVENTS / name, EVENTS / f"{name}.json") if one.is_file()), None)
    if file is None:
        raise Problem(f"{name} does not exist; localstack/events has {', '.join(sorted(one.name for one in EVENTS.glob('*.json')))}")
    event = json.loads(file.read_text())
    function = stack.maintain if event.get("action") in ("migrate", "maintain") else stack.ingest
    answer = function.invoke(event)
    print(json.dumps(answer.payload, indent=2))
    if answer.is_error:
        raise Problem(f"{function.name} failed: localstack/stack logs has more")


def tick(stack: Stack, arguments: list[str]) -> None:
    """tick [NAME]: fires the schedules whose name contains NAME, or all; LocalStack itself fires none."""
    fired = 0
    for schedule in deployed_schedules(stack.session, stack.output("ScheduleGroup")):
        if not arguments or arguments[0] in schedule["Name"]:
            text = fire(stack.session, schedule)
            print(f"{schedule['Name']}: {'is disabled' if text is None else text}")
            fired += text is not None
    if not fired:
        raise Problem("no schedule was fired")


def logs(stack: Stack, arguments: list[str]) -> None:
    """logs [ingest|maintain] [-f]: prints the functions' logs of the last hour; -f follows them."""
    names = [one for one in arguments if one != "-f"] or ["ingest", "maintain"]
    functions = [getattr(stack, name) for name in names if name in ("ingest", "maintain")]
    if len(functions) != len(names):
        raise Problem(f"the functions are ingest and maintain, not {' '.join(names)}")
    shown, since = set(), int((time.time() - 3600) * 1000)
    while True:
        for function in functions:
            show_new(function, since, shown)
        if "-f" not in arguments:
            return
        time.sleep(1)


def show_new(function: Function, since: int, shown: set[str]) -> None:
    """Prints the invocations of a function that are not in `shown` yet, and notes them there."""
    try:
        invocations = function.invocations(since)
    except function.session.client("logs").exceptions.ResourceNotFoundException:
        return  # it has not been invoked yet
    for invocation in invocations:
        key = f"{invocation.request_id} {invocation.report}"  # a retry has the id of the first attempt
        if key not in shown:
            shown.add(key)
            print("\n".join(invocation.lines), flush=True)


def env(stack: Stack, arguments: list[str]) -> None:
    """env: prints the variables for ingestctl, psql and aws to reach the stack, for the shell's eval."""
    variables = {
        "DATABASE_URL": os.environ["STACK_SERVER_URL"].rpartition("/")[0] + f"/{DATABASE}",
        "FLIGHT_ENDPOINT": os.environ["STACK_FLIGHT"],
        "STAGING_URL": stack.output("StagingUrl"),
        "AWS_ENDPOINT_URL": stack.session.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def main() -> int:
    commands = {"deploy": deploy, "invoke": invoke, "tick": tick, "logs": logs, "env": env}
    command, *arguments = sys.argv[1:]
    stack = Stack(Session(os.environ["STACK_ENDPOINT"]), "contract-data-loader", "contract-data-loader-code")
    try:
        commands[command](stack, arguments)
    except (Problem, ClientError, BotoCoreError, json.JSONDecodeError) as problem:
        print(f"stack: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Deploys the stack, or rolls back to the previous code. Run by infra/deploy.

The order, and why:

1. Upload the zips to the bucket, under keys that contain their digest. This changes nothing that runs.
2. Pause the schedules, through the stack: no run of the new code meets the old schema.
3. Update the stack, still paused. If that fails, CloudFormation rolls back by itself, and the schedules resume.
4. maintain migrates the schema. If that fails, the schedules stay paused until an operator decides.
5. Resume the schedules, unless the parameters set ScheduleState=DISABLED.

A run that is active meanwhile succeeds: the previous loader keeps working after a migration. The same command again does
the rest, or nothing.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys
import time

import boto3
import boto3.exceptions
import botocore.config
import botocore.exceptions

HERE = pathlib.Path(__file__).resolve().parent
FUNCTIONS = {"ingest": "IngestCodeKey", "maintain": "MaintainCodeKey"}
PREVIOUS = {"IngestCodeKey": "PreviousIngestCodeKey", "MaintainCodeKey": "PreviousMaintainCodeKey"}
MIGRATION_SECONDS = 900


class Failure(Exception):
    """An error that ends the deployment, with a message for the operator."""


def say(text):
    print(f"deploy: {text}", flush=True)


def client(service):
    # A slow answer must not start a second migration, and keepalives keep gateways from dropping the connection.
    patient = botocore.config.Config(
        read_timeout=MIGRATION_SECONDS + 30, retries={"max_attempts": 0}, tcp_keepalive=True
    )
    # Unlike the AWS CLI and the other SDKs, boto3 ignores AWS_REGION.
    region = os.environ.get("AWS_REGION") or None
    return boto3.client(service, region_name=region, config=patient if service == "lambda" else None)


# --- the zips


def zip_of(folder, function, architecture):
    """The only zip of a function; its digest must match its name."""
    found = sorted(folder.glob(f"{function}-{architecture}-*.zip"))
    if len(found) != 1:
        raise Failure(f"{len(found)} zips {function}-{architecture}-*.zip in {folder} instead of one: run infra/zip")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()[:16]
    if found[0].name != f"{function}-{architecture}-{digest}.zip":
        raise Failure(f"{found[0]} has the digest {digest}, which is not in its name: run infra/zip")
    return found[0]


def upload(bucket, key, path):
    s3 = client("s3")
    try:
        s3.head_object(Bucket=bucket, Key=key)
        say(f"s3://{bucket}/{key} exists")
    except botocore.exceptions.ClientError as error:
        # 403 is the answer to a caller who may not list; the upload shows whether it may write.
        if error.response["Error"]["Code"] not in ("404", "403", "NoSuchKey"):
            raise
        s3.upload_file(str(path), bucket, key)
        say(f"uploaded s3://{bucket}/{key}")


# --- the stack


class Stack:
    def __init__(self, name):
        self.name = name
        self.cloudformation = client("cloudformation")

    def describe(self):
        """The stack, or None."""
        try:
            return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise

    def found(self):
        """The stack if it exists and can be updated, else None."""
        stack = self.describe()
        if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
            return None
        status = stack["StackStatus"]
        if status.endswith("_IN_PROGRESS"):
            raise Failure(f"the stack {self.name} is {status}: wait until that has ended")
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
            raise Failure(f"the stack {self.name} is {status} and cannot be updated: delete it, then deploy again")
        return stack

    def parameters(self):
        return {p["ParameterKey"]: p["ParameterValue"] for p in (self.found() or {}).get("Parameters", [])}

    def template(self):
        return self.cloudformation.get_template(StackName=self.name, TemplateStage="Original")["TemplateBody"]

    def outputs(self):
        found = (self.found() or {}).get("Outputs")
        if not found:
            raise Failure(f"the stack {self.name} has no outputs: {self.reason()}")
        return {o["OutputKey"]: o["OutputValue"] for o in found}

    def apply(self, parameters, template=None):
        """Creates or updates; parameters that are not given keep their value. True when something changed."""
        current = self.parameters()
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        names = set(current)
        if template:
            summary = self.cloudformation.get_template_summary(TemplateBody=template)
            names = {p["ParameterKey"] for p in summary["Parameters"]}
            unknown = set(parameters) - names
            if unknown:
                raise Failure(f"the template has no parameter {', '.join(sorted(unknown))}")
        kept = [{"ParameterKey": k, "UsePreviousValue": True} for k in current if k in names and k not in parameters]
        # Not UsePreviousTemplate: LocalStack does not support it.
        body = template or self.template()
        arguments = dict(StackName=self.name, Parameters=given + kept, Capabilities=["CAPABILITY_IAM"], TemplateBody=body)
        began = time.time()
        try:
            if current:
                self.cloudformation.update_stack(**arguments)
            else:
                self.cloudformation.create_stack(OnFailure="ROLLBACK", **arguments)
        except botocore.exceptions.ClientError as error:
            if "No updates are to be performed" in error.response["Error"]["Message"]:
                return False
            raise
        while (status := self.describe()["StackStatus"]).endswith("_IN_PROGRESS"):
            time.sleep(1 if time.time() - began < 20 else 5)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Failure(f"the stack {self.name} is {status}: {self.reason()}")
        return True

    def switch(self, state):
        """ENABLED or DISABLED, for both schedules."""
        self.apply({"ScheduleState": state})
        # LocalStack creates the schedules of a stack and never updates them.
        scheduler, group = client("scheduler"), self.outputs()["ScheduleGroup"]
        for name in [s["Name"] for s in scheduler.list_schedules(GroupName=group)["Schedules"] if s["State"] != state]:
            schedule = scheduler.get_schedule(GroupName=group, Name=name)
            kept = ("ScheduleExpression", "FlexibleTimeWindow", "Target", "Description")
            scheduler.update_schedule(GroupName=group, Name=name, State=state, **{k: schedule[k] for k in kept if k in schedule})

    def reason(self):
        """What failed first in the last change of the stack."""
        reasons = []
        for event in self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]:
            if event["LogicalResourceId"] == self.name and event["ResourceStatus"] in ("UPDATE_IN_PROGRESS", "CREATE_IN_PROGRESS"):
                break
            if event["ResourceStatus"].endswith("_FAILED"):
                reasons.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
        return reasons[-1] if reasons else "it gives no reason"


def migrate(function):
    """Invokes maintain to migrate the schema; returns its answer."""
    answer = client("lambda").invoke(FunctionName=function, Payload=json.dumps({"action": "migrate"}))
    body = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        try:
            error = json.loads(body)
            body = f"{error['errorType']}: {error['errorMessage']}"
        except (ValueError, KeyError, TypeError):
            pass
        raise Failure(body)
    return body


# --- the two commands


def deploy(stack, options, wanted):
    before = stack.parameters()
    template = (HERE / "template.yaml").read_text()
    architecture = wanted.get("Architecture") or before.get("Architecture") or "arm64"
    zips = {parameter: zip_of(options.zips, function, architecture) for function, parameter in FUNCTIONS.items()}
    keys = {parameter: options.prefix + path.name for parameter, path in zips.items()}
    for parameter, path in zips.items():
        upload(options.bucket, keys[parameter], path)

    state = wanted.get("ScheduleState", "ENABLED")
    target = {**wanted, **keys, "CodeBucket": options.bucket, "Architecture": architecture}
    if before and {k: before[k] for k in keys} != keys:
        target |= {PREVIOUS[k]: before[k] for k in keys}
    done = {**target, "ScheduleState": state}.items() <= before.items() and stack.template() == template
    if done:
        say(f"the stack {stack.name} is up to date")
    else:
        update(stack, before, target, template)
    try:
        say(f"migrated: {migrate(stack.outputs()['MaintainFunction'])}")
    except (Failure, botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError) as error:
        if done:
            raise Failure(f"the migration failed: {error}") from error
        back = f", or roll back with: infra/deploy --stack {stack.name} --rollback" if before else ""
        raise Failure(f"the migration failed: {error}\nThe schedules are paused. Fix the cause and run this again{back}") from error
    resume(stack, state)


def update(stack, before, target, template):
    """Pauses the schedules and brings the stack to the target, paused."""
    if before.get("ScheduleState") == "ENABLED":
        say("pausing the schedules")
        stack.switch("DISABLED")
    say(f"updating the stack {stack.name}" if before else f"creating the stack {stack.name}")
    try:
        stack.apply({**target, "ScheduleState": "DISABLED"}, template)
        stack.outputs()  # LocalStack calls some failed updates complete; they have none
    except (Failure, botocore.exceptions.ClientError):
        if before.get("ScheduleState") == "ENABLED":
            say("the update failed and the code is unchanged: resuming the schedules")
            try:
                stack.switch("ENABLED")
            except (Failure, botocore.exceptions.ClientError) as second:
                say(f"cannot resume the schedules, they stay paused: {second}")
        raise


def rollback(stack):
    before = stack.parameters()
    if not before:
        raise Failure(f"there is no stack {stack.name}")
    back = {current: before.get(previous, "") for current, previous in PREVIOUS.items()}
    if not all(back.values()):
        raise Failure(f"the stack {stack.name} has no previous code: deploy the code that you want")
    for key in back.values():
        client("s3").head_object(Bucket=before["CodeBucket"], Key=key)
    arch = re.search(r"-(arm64|x86_64)-[0-9a-f]+\.zip$", back["IngestCodeKey"])
    forth = {PREVIOUS[k]: before[k] for k in back}
    say(f"rolled back to {', '.join(back.values())}; the schema stays, because it also supports the previous release")
    stack.switch("DISABLED")
    stack.apply({**back, **forth, "ScheduleState": "DISABLED", **({"Architecture": arch[1]} if arch else {})})
    resume(stack, "ENABLED")


def resume(stack, state):
    stack.switch(state)
    say("the schedules are enabled" if state == "ENABLED" else "the schedules stay paused, as set in the parameters")


# --- the command line


def parameters_of(options):
    """Parameters of the file, and over them those of the command line."""
    wanted = {}
    if options.parameters:
        wanted = json.loads(options.parameters.read_text())
        if not isinstance(wanted, dict) or not all(isinstance(v, str) for v in wanted.values()):
            raise Failure(f"{options.parameters} is not a JSON object of strings: see infra/parameters.example.json")
    for given in options.values:
        name, separator, value = given.partition("=")
        if not separator:
            raise Failure(f"{given!r} is not NAME=VALUE")
        wanted[name] = value
    reserved = {"CodeBucket", *FUNCTIONS.values(), *PREVIOUS.values()} & set(wanted)
    if reserved:
        raise Failure(f"{', '.join(sorted(reserved))}: infra/deploy sets these parameters itself")
    return wanted


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent / "target")
    parser = argparse.ArgumentParser(prog="infra/deploy", description="Deploys the stack, or rolls back to the previous code.")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--bucket", help="the bucket for the zips, in the stack's region")
    parser.add_argument("--prefix", default="", help="what their keys begin with")
    parser.add_argument("--zips", type=pathlib.Path, default=target / "lambda-zips", help="where infra/zip left them")
    parser.add_argument("--parameters", type=pathlib.Path, help="JSON, as infra/parameters.example.json")
    parser.add_argument("--rollback", action="store_true", help="back to the code before")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="parameters of the template")
    options = parser.parse_args()
    if not options.rollback and not options.bucket:
        parser.error("--bucket is wanted")
    try:
        if options.rollback:
            rollback(Stack(options.stack))
        else:
            deploy(Stack(options.stack), options, parameters_of(options))
    except (Failure, boto3.exceptions.Boto3Error, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError, ValueError) as error:
        sys.exit(f"deploy: {error}")


main()

"""EventBridge Scheduler, as far as it is missing: LocalStack 4.14.0 keeps schedules, and fires none."""

import datetime
import uuid

from botocore.exceptions import ClientError

from deployed import Problem
from deployed.session import Session


def deployed_schedules(session: Session, group: str) -> list[dict]:
    """Every schedule of a group, as it is deployed."""
    scheduler = session.client("scheduler")
    found = []
    for page in scheduler.get_paginator("list_schedules").paginate(GroupName=group):
        found += [scheduler.get_schedule(Name=one["Name"], GroupName=group) for one in page["Schedules"]]
    return found


def fire(session: Session, schedule: dict) -> str | None:
    """Does for one schedule what Scheduler does when its time has come; None when it is disabled.

    The target gets its own input, with the placeholders filled in, as an asynchronous invocation. One that is not taken is
    offered again as its retry policy says, without the pauses, and then goes to its dead letter queue. What the function does
    with an invocation that was taken is Lambda's to retry. Returns the input.
    """
    if schedule["State"] != "ENABLED":
        return None
    target, error = schedule["Target"], None
    if ":lambda:" not in target["Arn"]:
        raise Problem(f"the schedule {schedule['Name']} has a target that is no function: {target['Arn']}")
    for attempt in range(1, 2 + target.get("RetryPolicy", {}).get("MaximumRetryAttempts", 185)):
        text = filled_in(schedule, attempt)
        try:
            session.client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=text)
            return text
        except ClientError as refused:
            error = refused
            if error.response["Error"]["Code"] not in ("TooManyRequestsException", "ServiceException"):
                break  # trying again does not help
    to_dead_letters(session, schedule, text, attempt, error)
    return text


def filled_in(schedule: dict, attempt: int) -> str:
    """The input of a schedule's target, as the target gets it."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = schedule["Target"].get("Input") or "{}"
    values = {
        "schedule-arn": schedule["Arn"],
        "scheduled-time": now,
        "execution-id": str(uuid.uuid4()),
        "attempt-number": str(attempt),
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def to_dead_letters(session: Session, schedule: dict, text: str, attempts: int, error: ClientError) -> None:
    arn = schedule["Target"].get("DeadLetterConfig", {}).get("Arn")
    if not arn:
        raise error
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    told = {
        "ERROR_CODE": error.response["Error"]["Code"],
        "ERROR_MESSAGE": error.response["Error"]["Message"],
        "RETRY_ATTEMPTS": str(attempts - 1),
        "TARGET_ARN": schedule["Target"]["Arn"],
    }
    attributes = {name: {"DataType": "String", "StringValue": value or "-"} for name, value in told.items()}
    sqs.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=attributes)

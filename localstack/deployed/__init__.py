"""A deployed stack from outside: what `localstack/stack` and `localstack/e2e` do with it, through the APIs of AWS.

    session.py      clients for one endpoint
    stack.py        the CloudFormation stack: infra/deploy, secrets, outputs
    roles.py        the roles of sql/bootstrap, and the secrets with their passwords
    functions.py    invocations, and what they logged
    schedules.py    EventBridge Scheduler, which LocalStack stores and never fires
    commands.py     the command line of localstack/stack
"""


class Problem(Exception):
    """Something that the reader has to know, in a sentence that says it all. No traceback wanted."""

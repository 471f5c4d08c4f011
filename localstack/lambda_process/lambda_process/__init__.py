"""LocalStack's Lambda service without containers.

LocalStack asks a *runtime executor* for each execution environment of a function. Its own starts containers; this one
(LAMBDA_RUNTIME_EXECUTOR=process) runs the `bootstrap` of the function's zip as a process of this machine.

    executor.py      what LocalStack calls: the plug-in
    environment.py   one execution environment: cold start, invocation, deadline, crash, freeze
    bootstrap.py     the process group, and what it wrote
    runtime_api.py   the Lambda Runtime API that the bootstrap speaks, on a loopback port
    report.py        log lines and error bodies as Lambda writes them

What it keeps of Lambda: the environment variables, the deadline, the kill at the timeout, restarts, one invocation at a
time per environment, frozen processes between invocations, init errors, logs. What it does not: memory and disk limits, the
architecture, IAM, a file system of one's own. Whoever reaches LocalStack runs programs here: loopback only.
"""

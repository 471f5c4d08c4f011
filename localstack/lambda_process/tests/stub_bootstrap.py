"""A Lambda function for the tests: does what its event says. Runs as `bootstrap` with the interpreter of its first line.

Before it asks for events it does what the file `init` beside it says.
"""

import http.client
import json
import os
import subprocess
import sys
import time

API = "/2018-06-01/runtime/"


def call(method, path, body=None, chunked=False):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    chunks = (body[i : i + 100_000] for i in range(0, len(body), 100_000)) if chunked else body
    connection.request(method, API + path, chunks, encode_chunked=chunked, headers={"Transfer-Encoding": "chunked"} if chunked else {})
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def initialise():
    try:
        with open("init") as file:
            what = file.read().strip()
    except FileNotFoundError:
        return
    print(f"initialising: {what}", flush=True)
    match what:
        case "exit":
            sys.exit(3)
        case "error":
            call("POST", "init/error", json.dumps({"errorType": "Stub.Init", "errorMessage": "no"}).encode())
            time.sleep(60)
        case "once":
            os.remove("init")
            sys.exit(3)


def handle(event, headers):
    match event.get("do"):
        case "headers":
            return {"headers": dict(headers.items()), "now_ms": int(time.time() * 1000)}
        case "environment":
            return {"variables": dict(os.environ), "directory": os.getcwd()}
        case "process":
            return {"pid": os.getpid(), "group": os.getpgid(0)}
        case "sleep":
            print("sleeping", flush=True)
            child = subprocess.Popen(["sleep", "300"])
            print(f"child {child.pid}", flush=True)
            time.sleep(event["seconds"])
        case "exit":
            print("leaving", end="", flush=True)
            os._exit(event["code"])
        case "memory":
            kept = bytearray(event["mb"] << 20)
            kept[::4096] = b"x" * len(kept[::4096])
        case "letters":
            return "x" * event["n"]
        case "length":
            return len(event["text"])
        case "error":
            raise ValueError(event["message"])
    return event


def serve():
    while True:
        _, headers, body = call("GET", "invocation/next")
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(body)
        print(json.dumps({"requestId": request_id, "event": event.get("do")}), flush=True)
        try:
            answer, kind = handle(event, headers), "response"
        except ValueError as error:
            answer, kind = {"errorType": "Stub.Error", "errorMessage": str(error)}, "error"
        status, _, _ = call("POST", f"invocation/{request_id}/{kind}", json.dumps(answer).encode(), event.get("chunked", False))
        print(f"answered: {status}", flush=True)
        if event.get("twice"):
            print(f"again: {call('POST', f'invocation/{request_id}/response', b'1')[0]}", flush=True)
        if event.get("then") == "die":
            os._exit(1)


initialise()
serve()

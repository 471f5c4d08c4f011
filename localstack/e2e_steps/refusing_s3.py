"""An HTTP proxy in front of S3 that can refuse writes: LocalStack does not enforce a bucket policy."""

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REFUSAL = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class RefusingS3:
    """Forwards requests to `upstream`; while `refusing` is set, writes get 503 SlowDown."""

    def __init__(self, upstream: str):
        self.refusing = True
        self.refused = self.passed = 0  # requests that write
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self, "upstream": urlsplit(upstream).netloc})
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: RefusingS3
    upstream: str
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format, *arguments):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command in ("PUT", "POST", "DELETE"):
            if self.proxy.refusing:
                self.proxy.refused += 1
                self._send(503, [("Content-Type", "application/xml")], REFUSAL)
                return
            self.proxy.passed += 1
        connection = http.client.HTTPConnection(self.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        self._send(answer.status, answer.getheaders(), answer.read())
        connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes):
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

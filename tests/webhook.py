"""A webhook on loopback for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "/services/T0/hushhush"  # noqa: S105 (made up)


class Receiver(ThreadingHTTPServer):
    """A webhook on loopback that answers with `status`, or, if that is 0, never."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.status = status
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        self.enough = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}{SECRET}"

    def texts(self) -> list[str]:
        """What it was told."""
        return [body["text"] for _, _, body in self.got]


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        if self.server.status == 0:
            self.server.enough.wait()
            return
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_words: object) -> None:
        """Nothing on the tests' own standard error."""


def serving(receiver: Receiver) -> Iterator[Receiver]:
    """It, until whoever asked for it is done with it; whatever still waits for it is then let go."""
    yield receiver
    receiver.enough.set()
    receiver.shutdown()
    receiver.server_close()

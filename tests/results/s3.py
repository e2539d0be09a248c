"""An S3 server on this machine: moto's, with requests one at a time.

moto looks whether an object is there and stores another one in two steps, so two threads can both
"create" an object; the lock makes a conditional put as atomic as it is at S3.
"""

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "lilliput"


class Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """No line for each request."""


@dataclass
class S3:
    """A running server and its misbehaviour."""

    port: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Method and part of a path: the next request like it is done, and answered with a 500."""
    blind: bool = False
    """Conditions on a put are ignored, as by stores that don't know them."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of all that came, in order."""
    lock: threading.Condition = field(default_factory=threading.Condition)
    app: Any = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
        }

    def count(self, method: str, part: str) -> int:
        """Requests so far with that method and that part of a path."""
        return sum(m == method and part in path for m, path in self.requests)

    def wait_for(self, method: str, part: str, num: int, timeout: float) -> bool:
        """Wait until that many such requests were done."""
        with self.lock:
            return self.lock.wait_for(lambda: self.count(method, part) >= num, timeout)

    def answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.blind:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        said: list[Any] = []
        with self.lock:
            body = list(self.app(environ, lambda *head: said.append(head)))
            self.requests.append((method, path))
            self.lock.notify_all()
            fault = next((f for f in self.lost if method == f[0] and f[1] in path), None)
            if fault is not None:
                self.lost.remove(fault)
        if fault is not None:
            start("500 Internal Server Error", [("Content-Length", "0")])
            return []
        start(*said[-1])
        return body


@contextmanager
def serving() -> Iterator[S3]:
    """A server with one empty bucket, until the block ends."""
    s3 = S3(app=DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, s3.answer, threaded=True, request_handler=Quiet)
    s3.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{s3.port}"
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
        yield s3
    finally:
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))
        server.shutdown()
        thread.join()
        server.server_close()

"""`lilliput view`: the page of a run of any size, its items read from the records on demand.

    browser --GET /TOKEN/items?...--> Reader --parts--> JSON

Bound to this machine alone. Whoever knows the token may read: it is in the address that is printed,
and nowhere else. The Host header must be this machine too, or a page elsewhere could have its own
name point here and read along.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from results.directories import Where, open_directory
from results.errors import ResultsError
from results.report.page import served_page
from results.report.scan import MOST_DIGITS, Query, Reader

HOST = "127.0.0.1"
MOST = 100
"""Items in one answer."""


class Viewer(ThreadingHTTPServer):
    """Serves one run until `shutdown`."""

    daemon_threads = True

    def __init__(self, run_dir: Where, port: int = 0) -> None:
        """Raises ResultsError where no run is, and for a port that is taken."""
        directory = open_directory(run_dir)
        self.page = served_page(directory).encode(errors="replace")
        self.reader = Reader(directory)
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ResultsError(
                f"wanted port {port} of {HOST}, got {error.strerror or error}; give another --port"
            ) from error

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: Viewer
    timeout = 60

    def do_GET(self) -> None:
        """Answer one request."""
        address = urlsplit(self.path)
        _, _, rest = address.path.partition("/")
        token, _, name = rest.partition("/")
        if not self._is_local() or not hmac.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            self._say(403, "text/plain", b"Open the address that `lilliput view` printed.\n")
            return
        asked = {key: values[-1] for key, values in parse_qs(address.query).items()}
        answers: dict[str, Callable[[], Any]] = {
            "items": lambda: self._items(asked),
            "item": lambda: self.server.reader.item(asked.get("at", "")),
        }
        if not name:
            self._say(200, "text/html", self.server.page)
        elif name in answers:
            self._answer(answers[name])
        else:
            self._say(404, "text/plain", b"There is nothing of that name.\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address in it holds the token."""

    def _is_local(self) -> bool:
        port = self.server.server_port
        return self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}")

    def _items(self, asked: dict[str, str]) -> dict[str, Any]:
        words = ("outcome", "member", "decoding", "category", "text")
        query = Query(
            **{name: asked.get(name, "") for name in words},
            failed=asked.get("failed") == "1",
            split=asked.get("split") == "1",
        )
        said = asked.get("limit", "")
        known = said.isdecimal() and len(said) <= MOST_DIGITS
        limit = min(max(int(said), 1), MOST) if known else MOST
        found = self.server.reader.find(query, asked.get("start", ""), limit)
        return {"items": found.items, "next": found.next, "seen": found.seen}

    def _answer(self, answer: Callable[[], Any]) -> None:
        try:
            status, content = 200, answer()
        except ResultsError as error:
            status, content = 400, {"error": str(error)}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        self._say(status, "application/json", text.encode(errors="replace"))

    def _say(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

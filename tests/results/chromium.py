"""Headless Chromium, spoken to over its debugging pipe: no port, no driver, no library."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESK = (390, 844), (1280, 900)


def find() -> str | None:
    """The browser's path, `CHROMIUM` first; None: there is none."""
    own = os.environ.get("CHROMIUM")
    return own or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page after the other. `complaints` is what the console said since `open`."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out = os.fdopen(into, "wb", 0), os.fdopen(out, "rb")
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command. Raises RuntimeError when it fails."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        self._into.write(json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str, *, size: tuple[int, int] = DESK, dark: bool = False) -> None:
        """Load a page and wait until its script has said that it is ready."""
        self.complaints, self.requests = [], []
        self.resize(size)
        value = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=url)
        self.run(
            "new Promise(done => { const look = () => "
            "document.documentElement?.dataset.ready ? done() : setTimeout(look, 20); look(); })"
        )

    def resize(self, size: tuple[int, int]) -> None:
        """Of the window, in CSS pixels."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(shot["data"]))

    def paper(self, path: Path) -> None:
        """A PDF of the page."""
        path.write_bytes(b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))

    def _next(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self._out.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium ended")
            content += byte
        message: dict[str, Any] = json.loads(content)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile folder of its own, ended with the block."""
    path = find()
    assert path, "there is no Chromium"
    child_reads, writes = os.pipe()
    reads, child_writes = os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    flags += [f"--user-data-dir={profile}", "--no-first-run", "--disable-dev-shm-usage"]
    # It would call home, and leave a process behind that waits for crashes.
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--disable-quic", "--disable-breakpad", "--disable-crash-reporter"]
    # Chromium listens on file descriptor 3 and answers on 4.
    shell = f'exec "$@" 3<&{child_reads} 4>&{child_writes}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "-", path, *flags],
        pass_fds=(child_reads, child_writes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(child_reads)
    os.close(child_writes)
    try:
        yield Browser(writes, reads)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()

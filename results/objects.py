"""A run directory in an object store: S3 and what speaks its protocol, Google Cloud, Azure.

    lease.json   who drives the run (`results.lease`)
    the rest     as on a disk; there are no temporary files, because a put is whole or nothing

Exclusive means a conditional put. What a store says of one is not the whole truth: a put that was
done, whose answer got lost, and that was sent again, finds its own object there. So a refusal is
believed only where the object holds something else.
"""

import contextlib
import re
from pathlib import Path

from results.cloud import ADVICE, STORES, connect, os_errors
from results.errors import ResultsError
from results.lease import Lease, is_alive, read_lease

ATTEMPTS = 6
"""At the put of a part, each as long as `cloud.PATIENCE`: a minute without a network loses none."""
MOST_AT_ONCE = 64 << 20
"""Bytes in one request; more are sent in pieces, and are there once all of them are."""
_URL = re.compile(rf"({'|'.join(STORES)})://([^/]+)/(.*[^/])/*")


class ObjectDirectory:
    """Everything under one prefix. Credentials and endpoint come from the environment, as
    `obstore` reads it: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, GOOGLE_..., AZURE_...
    """

    advice = ADVICE
    pace = 5.0

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if not found:
            raise ResultsError(
                f"wanted a directory, or s3://BUCKET/PREFIX, gs://... or az://..., got {url!r}"
            )
        self._scheme, self._bucket, self._prefix = found.groups()
        self._objects = connect(*found.groups())

    def __str__(self) -> str:
        return f"{self._scheme}://{self._bucket}/{self._prefix}"

    @property
    def name(self) -> str:
        return self._prefix.rpartition("/")[2]

    def beside(self, name: str) -> "ObjectDirectory":
        return ObjectDirectory(str(self).removesuffix(self.name) + name)

    def create(self) -> None:
        """A prefix needs no making."""

    def hold(self) -> Lease:
        return Lease(self._objects, str(self))

    def is_held(self) -> bool:
        try:
            holder, _ = read_lease(self._objects)
        except OSError:
            return False
        return is_alive(holder)

    def tidy(self) -> None:
        """A killed driver leaves nothing half written."""

    def names(self, folder: str = "") -> list[str]:
        with os_errors():
            found = self._objects.list_with_delimiter(folder or None)
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def get(self, name: str) -> bytes:
        with os_errors():
            return bytes(self._objects.get(name).bytes())

    def put(self, name: str, content: bytes) -> None:
        with os_errors():
            self._objects.put(name, content, mode="overwrite", use_multipart=False)

    def take(self, name: str, path: Path) -> None:
        with os_errors():
            in_pieces = path.stat().st_size > MOST_AT_ONCE
            self._objects.put(name, path, mode="overwrite", use_multipart=in_pieces)

    def put_if_absent(self, name: str, content: bytes) -> bool:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with os_errors():
                    self._objects.put(name, content, mode="create")
                return True
            except FileExistsError:
                return self.get(name) == content
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def move(self, name: str, to: str) -> None:
        if not self.put_if_absent(to, self.get(name)):
            raise FileExistsError(f"{self}/{to} exists")
        self.delete(name)

    def delete(self, name: str) -> None:
        with os_errors(), contextlib.suppress(FileNotFoundError):
            self._objects.delete(name)

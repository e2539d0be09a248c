"""One object of a store as a local file, kept in the cache while the object is the same."""

import os
from hashlib import sha256
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path

from results.cloud import ADVICE, STORES, connect, os_errors
from results.errors import ResultsError


def is_object(name: str) -> bool:
    """It is the URL of an object: `s3://BUCKET/KEY`, `gs://...` or `az://...`."""
    return name.partition("://")[0] in STORES and "://" in name


def fetch(url: str) -> Path:
    """A local copy, read in pieces. Its name ends as the object's does. Raises ResultsError."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    objects = connect(scheme, bucket, str(PurePosixPath(key).parent).strip("."))
    name = PurePosixPath(key).name
    try:
        with os_errors():
            found = objects.get(name)
            version = f"{url}|{found.meta['e_tag'] or found.meta['last_modified']}"
            folder = (
                user_cache_path("lilliput") / "data" / sha256(version.encode()).hexdigest()[:16]
            )
            path = folder / name
            if path.is_file():
                return path
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"{name}.{os.getpid()}.tmp"
            with partial.open("wb") as file:
                for piece in found.stream():
                    file.write(piece)
            partial.rename(path)
    except OSError as error:
        raise ResultsError(f"wanted to read {url}, got {error}; {ADVICE}") from error
    return path

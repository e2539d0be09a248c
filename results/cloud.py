"""`obstore`, the one library that talks to object stores: how it connects, what its errors mean.

It is imported when a URL is used, since a run on a disk does without.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from results.errors import ResultsError

STORES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
ADVICE = "check the bucket, the credentials and the endpoint (for S3: AWS_* variables)"
PATIENCE = timedelta(seconds=10)
"""For which one request is repeated."""
_ASKED_THE_MACHINE = re.compile("/latest/api/token|/computeMetadata/|/metadata/identity")
"""For credentials, as a cloud's own machines have them, since the environment has none."""


def connect(scheme: str, bucket: str, prefix: str) -> Any:
    """An obstore store of everything under a prefix. Nothing is asked for yet.

    Raises ResultsError: obstore is not installed, a setting in the environment is wrong or missing.
    """
    try:
        from obstore import store
    except ImportError:
        raise ResultsError(
            f"{scheme}:// needs a package that is not installed: pip install 'lilliput[cloud]'"
        ) from None
    try:
        with os_errors():
            return getattr(store, STORES[scheme])(
                bucket,
                prefix=prefix,
                # HTTP happens only where the endpoint in the environment says http://.
                client_options={"connect_timeout": "5s", "timeout": "60s", "allow_http": True},
                retry_config={
                    "max_retries": 20,
                    "retry_timeout": PATIENCE,
                    "backoff": {"max_backoff": timedelta(seconds=2)},
                },
            )
    except OSError as error:
        raise ResultsError(f"wanted {scheme}://{bucket}/{prefix}, got {error}; {ADVICE}") from error


@contextlib.contextmanager
def os_errors() -> Iterator[None]:
    """What obstore raises, as the errors of a file system, in one line."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise FileExistsError(line(error)) from error
    except FileNotFoundError as error:
        said = line(error)
        # Without its bucket nothing can be said of an object.
        missing = "NoSuchBucket" in said or "ContainerNotFound" in said
        raise (OSError if missing else FileNotFoundError)(said) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(line(error)) from error
    except exceptions.BaseError as error:
        raise OSError(line(error)) from error


def line(error: Exception) -> str:
    """The store's own words where it has some, without obstore's dump of its error structure."""
    text = " ".join(str(error).partition("Debug source:")[0].split())
    if _ASKED_THE_MACHINE.search(text):
        return "no credentials in the environment"
    said = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", text)
    if said:
        return f"{said[1]}: {said[2].rstrip('.')}"
    # Without the query and the count of attempts.
    done = re.search(r"Error performing ([A-Z]+) ([^\s?]+).*? - (.*)", text)
    return f"{done[1]} {done[2]}: {done[3]}" if done else text[:300]

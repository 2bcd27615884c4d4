"""Access to whole objects in an object store, through obstore (the extra `cloud`).

Every error is a one-line `StorageError` with a remedy. obstore retries after temporary errors, up
to a limit. It runs its own threads, so a child forked from a process that has used it cannot use
it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import InvalidSettings, StorageError
from ..settings.settings import scheme_of

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART: Final = 8 << 20
"""The smallest part (bytes) of an upload except the last, and the size of a read request."""

_MOST_PARTS: Final = 8000
"""Stores accept 10,000; the rest is reserved for an entry that grows meanwhile."""

_MEMORY: Final = 64 << 20
_AT_ONCE: Final = 4
_MOST_LISTED: Final = 200_000

RETRIES: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10)},
}
_CLIENT: Final[ClientConfig] = {"connect_timeout": "10s", "timeout": "300s"}
"""A request transfers one part: a store that takes longer for that is too slow."""

_VARIABLES: Final = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
_OPTIONS: Final = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_excludes",
    "proxy_url",
    "timeout",
)
"""The client options with environment variables, which obstore ignores if any option is given."""

_CREDENTIALS: Final = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_SERVICE_ACCOUNT to the path of a key",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


_users: Final[dict[str, int]] = {}
"""The process with obstore's threads: in a fork of it, every request would wait forever."""


class Stored(NamedTuple):
    """An object: its name, its size, its ETag, which differs for a later one, and its time."""

    name: str
    size: int
    e_tag: str
    modified: float


class BucketError(StorageError):
    """An error of the store; `said` is the message without the URL."""

    def __init__(self, url: str, said: str) -> None:
        super().__init__(0, f"{url}: {said}")
        self.said = said


class Bucket:
    """The objects directly below `url`, which is `scheme://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.scheme = scheme_of(url)
        self.failure: BucketError | None = None
        """The last error that makes all further requests fail."""
        self._opened: ObjectStore | None = None
        self._knows_conditions = True

    def spell(self, name: str) -> str:
        """The URL of the object, for messages."""
        return f"{self.url}/{name}"

    def open(self) -> ObjectStore:
        """The store. Sends nothing yet. Raises `InvalidSettings` or `StorageError`."""
        if _users.setdefault("process", os.getpid()) != os.getpid():
            raise BucketError(
                self.url,
                "cannot be used in a fork of a process that has used it; start a new process "
                "(multiprocessing: spawn)",
            )
        if self._opened is None:
            try:
                from obstore.store import from_url
            except ModuleNotFoundError:
                raise InvalidSettings(
                    f"archive_location: {self.url} needs obstore: python3 -m pip install "
                    '"obstore>=0.12", or tempkeep with its extra `cloud`'
                ) from None
            config: dict[str, Any] = {}
            if self.scheme == "s3" and "AWS_CHECKSUM_ALGORITHM" not in os.environ:
                config["checksum_algorithm"] = "SHA256"
            with self._errors_as("cannot be used"):
                self._opened = from_url(
                    self.url,
                    config=config or None,  # type: ignore[arg-type] # of that scheme
                    client_options=self._client(),
                    retry_config=RETRIES,
                )
        return self._opened

    def _client(self) -> ClientConfig:
        """The options of the client, including those in the environment."""
        options: dict[str, Any] = {**_CLIENT}
        for name in _OPTIONS:
            if (text := os.environ.get(f"{_VARIABLES[self.scheme]}_{name.upper()}")) is not None:
                options[name] = text
        return options  # type: ignore[return-value] # names of a `ClientConfig`

    # -- reading ----------------------------------------------------------------------------------

    def listed(self) -> Iterator[Stored]:
        """The objects directly there, without those below further slashes."""
        store = self.open()
        import obstore

        found = 0
        with self._errors_as("cannot be listed"):
            for batch in obstore.list(store, chunk_size=1000):
                for meta in batch:
                    found += 1
                    if found > _MOST_LISTED:
                        raise BucketError(
                            self.url,
                            f"holds more than {_MOST_LISTED} objects; use an archive_location "
                            "with a prefix of its own",
                        )
                    if "/" not in meta["path"]:
                        yield _stored(meta)

    def look(self, name: str) -> Stored | None:
        """The object; `None` if it does not exist."""
        store = self.open()
        import obstore

        with self._errors_as(f"{name} cannot be looked at"):
            try:
                return _stored(obstore.head(store, name))
            except FileNotFoundError:
                return None

    def read(self, name: str, most: int) -> bytes | None:
        """The content of a small object; `None` if it does not exist.

        Raises `BucketError`, as all of these do, also if it is larger than `most` bytes.
        """
        store = self.open()
        import obstore

        with self._errors_as(f"{name} cannot be read"):
            try:
                found = obstore.get(store, name)
                if found.meta["size"] > most:
                    raise BucketError(self.url, f"{name} is too large")
                return bytes(found.bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def pieces(self, name: str, size: int) -> Generator[bytes, None, None]:
        """The content of an object of `size` bytes, requested a few pieces ahead."""
        store = self.open()
        import obstore

        def piece(start: int) -> bytes:
            with self._errors_as(f"{name} cannot be read"):
                end = min(size, start + PART)
                return bytes(obstore.get_range(store, name, start=start, end=end))

        starts = iter(range(0, size, PART))
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            ahead: deque[Future[bytes]] = deque(
                pool.submit(piece, start) for start in itertools.islice(starts, _AT_ONCE)
            )
            while ahead:
                found = ahead.popleft().result()
                ahead.extend(pool.submit(piece, start) for start in itertools.islice(starts, 1))
                yield found
        finally:
            pool.shutdown(cancel_futures=True)

    # -- writing ----------------------------------------------------------------------------------

    def upload(self, name: str, pieces: Iterator[bytes], expected: int) -> None:
        """Store the `pieces` as one object, in bounded memory. If their iterator raises, nothing is
        stored. `expected` is roughly the maximum number of bytes; it determines the part size.
        """
        store, part = self.open(), max(PART, -(-expected // _MOST_PARTS))
        import obstore

        first = bytearray()
        for piece in pieces:
            first += piece
            if len(first) >= part:
                break
        with self._errors_as(f"{name} cannot be stored"):
            if len(first) < part:
                obstore.put(store, name, bytes(first), use_multipart=False)
                return
            # Some stores require parts of equal size.
            obstore.put(
                store,
                name,
                itertools.chain([bytes(first[:part]), bytes(first[part:])], pieces),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=max(1, min(_AT_ONCE, _MEMORY // part)),
            )

    def create(self, name: str, data: bytes) -> bool:
        """Store a small object if there is none of that name, and return whether it was stored.

        After an error, it may still have been stored. If the store does not support conditional
        writes, the name is checked first, which is as good for a name that nobody else uses.
        """
        store = self.open()
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        with self._errors_as(f"{name} cannot be stored"):
            if self._knows_conditions:
                try:
                    obstore.put(store, name, data, mode="create")
                    return True
                except AlreadyExistsError:
                    return False
                except BaseError as error:
                    if not _lacks_something(str(error)):
                        raise
            if self.look(name) is not None:
                return False
            obstore.put(store, name, data, use_multipart=False)
            self._knows_conditions = False
            return True

    def delete(self, name: str) -> None:
        """Delete the object, if it exists."""
        store = self.open()
        import obstore

        with self._errors_as(f"{name} cannot be deleted"):
            try:
                obstore.delete(store, name)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise

    # -- errors -----------------------------------------------------------------------------------

    @contextmanager
    def _errors_as(self, what: str) -> Iterator[None]:
        """Turn errors of obstore into one line with a remedy."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            is_final, why = _why(str(error), self.scheme)
            told = BucketError(self.url, f"{what}: {why}")
            if is_final:
                self.failure = told
            raise told from error


@contextmanager
def url_known() -> Iterator[None]:
    """Leave the URL out of errors, for a caller that names it."""
    try:
        yield
    except BucketError as error:
        raise StorageError(0, error.said) from error


def _stored(meta: ObjectMeta) -> Stored:
    modified = meta["last_modified"].timestamp()
    return Stored(meta["path"], meta["size"], meta["e_tag"] or "", modified)


_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS: Final = re.compile(r"(?:status code: |Server error[^0-9]{0,20})([45]\d\d)")
_KEYS: Final = ("token", "metadata", "credential", "account must be specified", "/oauth")


def _lacks_something(text: str) -> bool:
    status = _STATUS.search(text)
    return status is not None and status[1] == "501"


def _why(text: str, scheme: str) -> tuple[bool, str]:
    """Whether an error of obstore makes all further requests fail, and its message and remedy."""
    line = text.partition("\n")[0]
    code, status = _CODE.search(text), _STATUS.search(text)
    name, number = code[1] if code else "", status[1] if status else ""
    named = f" ({name})" if name else ""
    if name == "NoSuchBucket":
        return True, "there is no such bucket; make it, or correct archive_location"
    if any(word in line.lower() for word in _KEYS):
        return True, f"there are no credentials; {_CREDENTIALS[scheme]}"
    if number in ("401", "403"):
        return True, f"the store refuses access{named}; check the credentials and their rights"
    if number in ("500", "502", "503", "504", "429"):
        return True, f"the store answers {number} again and again{named}; try again later"
    if _lacks_something(text):
        return True, f"the store lacks what this needs{named}; use another one"
    if "builder error" in line:
        variable = f"{_VARIABLES[scheme]}_ALLOW_HTTP"
        return True, f"its endpoint is not https; set {variable}=true if that is meant"
    if not number and "HTTP error" in line:
        return True, (
            "the store cannot be reached, or is too slow; check the network and its endpoint, and "
            "try again"
        )
    return False, "".join(char if char.isprintable() else " " for char in line)[:300]

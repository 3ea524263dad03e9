"""A small HTTP server that takes expected files and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote

import h11
import structlog

from adapters.uploads.book import UploadBook
from adapters.uploads.settings import UploadSettings
from controller.care import Upload

log = structlog.get_logger(__name__)

PREFIX: Final = "uploads"
_PIECE: Final = 64 * 1024
_MAX_HEAD: Final = 8 * 1024
_HEAD_PIECE: Final = 2 * 1024
"""A head is read in small pieces: its limit counts only while it is incomplete."""
_METHODS: Final = (b"PUT", b"POST")
_NAME: Final = 100
_LINGER_S: Final = 1.0
_LINGER_PIECES: Final = 64
_NO_NAME: Final = "log.bin"


class UploadListenError(Exception):
    """The receiver cannot listen; the text names the place and the mend."""


class _Refused(Exception):  # noqa: N818 - carries the status to answer with
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(slots=True)
class _Arriving:
    """A file on its way to the disk."""

    file: IO[bytes]
    size_bytes: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        self.sha256.update(piece)
        self.file.write(piece)

    def finish(self, path: Path) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        Path(self.file.name).replace(path)


class UploadReceiver:
    """Listens for stations that were asked for a file."""

    def __init__(self, *, settings: UploadSettings, book: UploadBook) -> None:
        self._settings = settings
        self._book = book
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The TCP port in use.

        Raises:
            RuntimeError: Not started.
        """
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        return int(self._server.sockets[0].getsockname()[1])

    def url(self, credentials: str, host: str) -> str:
        """Return where a station sends one file. It ends with a slash: some append a name."""
        scheme = "https" if self._settings.tls is not None else "http"
        name = self._settings.public_host or host
        authority = f"[{name}]" if ":" in name else name
        return f"{scheme}://{authority}:{self.port}/{PREFIX}/{credentials}/"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            UploadListenError: The address or the folder cannot be used.
        """
        settings = self._settings
        try:
            settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for rest in settings.folder.glob(".part-*"):
                rest.unlink()
            self._server = await asyncio.start_server(
                self._serve,
                settings.host,
                settings.port,
                limit=_PIECE,
                ssl=settings.tls,
                ssl_handshake_timeout=settings.head_timeout_s if settings.tls else None,
            )
        except OSError as error:
            place = f"{settings.host}:{settings.port}, folder {settings.folder}"
            why = "is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise UploadListenError(
                f"uploads cannot be received at {place} ({why}): check uploads.listen"
            ) from error
        log.info("uploads.listening", host=settings.host, port=self.port)

    async def stop(self) -> None:
        """Stop listening and cut off what is under way."""
        if self._server is None:
            return
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    # --- one connection ---------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and close."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this in a task
        self._serving.add(task)
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                status, text = await self._answer(connection, reader, writer)
                await _respond(connection, writer, status, text)
                await _let_finish(reader)
        except (TimeoutError, ConnectionError, h11.ProtocolError) as error:
            log.info("uploads.cut", reason=type(error).__name__)
        except OSError as error:
            log.warning("uploads.not_stored", reason=str(error))
        finally:
            self._serving.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[HTTPStatus, str]:
        try:
            if len(self._serving) > self._settings.max_connections:
                raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many uploads; try again.")
            async with asyncio.timeout(self._settings.head_timeout_s):
                request = await _next(connection, reader, piece=_HEAD_PIECE)
            if not isinstance(request, h11.Request):
                raise _Refused(HTTPStatus.BAD_REQUEST, "This is no request.")
            await self._take(request, connection, reader, writer)
        except h11.RemoteProtocolError as error:
            return HTTPStatus(error.error_status_hint), "This is no request."
        except _Refused as refused:
            return refused.status, refused.text
        return HTTPStatus.CREATED, "Stored."

    async def _take(
        self,
        request: h11.Request,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Store the file of a request."""
        credentials, name = _target(request)
        if request.method not in _METHODS:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Use PUT or POST.")
        upload = self._book.claim(credentials)
        if upload is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "Nothing is expected here.")
        try:
            self._check_length(request)
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            await self._store(upload, name, connection, reader)
        finally:
            self._book.release(upload)

    def _check_length(self, request: h11.Request) -> None:
        for header, value in request.headers:
            if header == b"content-length" and int(value) > self._settings.max_bytes:
                raise self._too_large()

    def _too_large(self) -> _Refused:
        most = self._settings.max_bytes
        return _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {most} bytes are taken.")

    async def _store(
        self, upload: Upload, name: str, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> None:
        path = self._book.file_of(upload)
        part = path.with_name(f".part-{upload.id}")
        arriving = _Arriving(file=await asyncio.to_thread(_create, part))
        try:
            await self._receive(arriving, connection, reader)
            await asyncio.to_thread(arriving.finish, path)
        except BaseException:
            arriving.file.close()
            part.unlink(missing_ok=True)
            raise
        await self._book.stored(
            upload,
            name=name,
            size_bytes=arriving.size_bytes,
            sha256=arriving.sha256.hexdigest(),
        )
        log.info(
            "uploads.stored", station=upload.station, id=upload.id, size_bytes=arriving.size_bytes
        )

    async def _receive(
        self, arriving: _Arriving, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> None:
        """Read the body; its sender is slowed down to the configured rate."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            async with asyncio.timeout(self._settings.idle_timeout_s):
                event = await _next(connection, reader)
            if isinstance(event, h11.EndOfMessage):
                return
            if not isinstance(event, h11.Data):
                raise ConnectionAbortedError("the sender went away")
            if arriving.size_bytes + len(event.data) > self._settings.max_bytes:
                raise self._too_large()
            await asyncio.to_thread(arriving.write, bytes(event.data))
            ahead_s = arriving.size_bytes / self._settings.bytes_per_s - (loop.time() - began_s)
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)


async def _next(
    connection: h11.Connection, reader: asyncio.StreamReader, *, piece: int = _PIECE
) -> h11.Event:
    """Return the next event of a request, reading in pieces of so many bytes.

    Raises:
        h11.RemoteProtocolError: What came is not HTTP, or its head is too long.
        ConnectionError: The sender went away.
    """
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(piece)
            if not data:
                raise ConnectionAbortedError("the sender went away")
            connection.receive_data(data)
        elif isinstance(event, h11.Event):
            return event
        else:
            raise ConnectionAbortedError("a second request")


async def _respond(
    connection: h11.Connection, writer: asyncio.StreamWriter, status: HTTPStatus, text: str
) -> None:
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    body = (text + "\n").encode()
    response = h11.Response(
        status_code=status.value,
        headers=[
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ],
        reason=status.phrase.encode(),
    )
    for event in (response, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _let_finish(reader: asyncio.StreamReader) -> None:
    """Read on for a moment: closing on unread bytes would take our answer away from the sender."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            for _ in range(_LINGER_PIECES):
                if not await reader.read(_PIECE):
                    return


def _target(request: h11.Request) -> tuple[str, str]:
    """Return the credentials and the file's name; the path itself is never used as one."""
    path = request.target.decode("ascii", "replace").partition("?")[0]
    _, _, rest = path.partition(f"/{PREFIX}/")
    credentials, _, tail = rest.partition("/")
    return credentials, _plain_name(unquote(tail.rpartition("/")[2]))


def _plain_name(text: str) -> str:
    """Return a station's name for a file, fit to be shown and offered for download."""
    kept = "".join(c for c in text if c.isprintable() and c not in '/\\"<>|:*?')[:_NAME]
    return kept.strip(". ") or _NO_NAME


def _create(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return open(path, "wb", opener=lambda _path, _flags: descriptor)

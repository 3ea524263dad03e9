"""Which uploads are expected, by one-time credentials, and what came. Durable."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from adapters.uploads.settings import UploadSettings
from controller.care import LogKind, Upload, UploadState
from controller.ports import Clock
from controller.roaming import Document, DocumentQuery
from controller.site import StationId

KIND: Final = "upload"
MAX_KEPT: Final = 1000
MAX_EXPECTED: Final = 200


class UploadStore(Protocol):
    """The part of the store that this needs."""

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Keep an upload."""

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        """List uploads."""

    async def delete_document(self, kind: str, key: str) -> bool:
        """Forget an upload."""


class UploadBook:
    """The uploads, in memory and in the store. One event loop."""

    def __init__(self, *, settings: UploadSettings, store: UploadStore, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._uploads: dict[str, Upload] = {}
        self._by_digest: dict[str, str] = {}
        """Digest of the credentials to id, of expected uploads only."""
        self._busy: set[str] = set()

    async def restore(self) -> None:
        """Bring back what was stored. Credentials of the last run are void."""
        found = await self._store.documents(DocumentQuery(kind=KIND, limit=MAX_KEPT))
        self._uploads = {d.key: _from_json(d.key, json.loads(d.body)) for d in found}
        for upload in list(self._uploads.values()):
            if upload.state is UploadState.EXPECTED:
                await self._keep(replace(upload, state=UploadState.EXPIRED))

    async def expect(self, station: StationId, kind: LogKind, actor: str) -> tuple[Upload, str]:
        """Begin to expect a file.

        Returns:
            The upload, and the credentials that are good for it once.
        """
        now = self._clock.now()
        upload = Upload(
            id=secrets.token_hex(8),
            station=station,
            kind=kind,
            state=UploadState.EXPECTED,
            requested_by=actor,
            requested_at=now,
            expires_at=now + timedelta(seconds=self._settings.valid_s),
        )
        while len(self._by_digest) >= MAX_EXPECTED:
            await self._expire(next(iter(self._by_digest.values())))
        credentials = secrets.token_urlsafe(24)
        self._by_digest[_digest(credentials)] = upload.id
        await self._keep(upload)
        return upload, credentials

    def claim(self, credentials: str) -> Upload | None:
        """Return the upload that credentials are for, and hold it; None: they are good for nothing."""
        upload = self._uploads.get(self._by_digest.get(_digest(credentials), ""))
        if upload is None or upload.id in self._busy or upload.expires_at <= self._clock.now():
            return None
        self._busy.add(upload.id)
        return upload

    def release(self, upload: Upload) -> None:
        """Let go of an upload; unless it was stored, its credentials are good again."""
        self._busy.discard(upload.id)

    async def stored(self, upload: Upload, *, name: str, size_bytes: int, sha256: str) -> Upload:
        """Note that the file is here; its credentials are spent."""
        self._spend(upload.id)
        after = replace(
            upload,
            state=UploadState.STORED,
            name=name,
            size_bytes=size_bytes,
            sha256=sha256,
            stored_at=self._clock.now(),
        )
        await self._keep(after)
        return after

    async def forget(self, upload: Upload) -> None:
        """Forget an upload that the station will not make."""
        self._spend(upload.id)
        self._uploads.pop(upload.id, None)
        await self._store.delete_document(KIND, upload.id)

    def uploads(self, station: StationId | None) -> tuple[Upload, ...]:
        """List, newest first."""
        wanted = (u for u in self._uploads.values() if station in (None, u.station))
        return tuple(sorted(wanted, key=lambda u: (u.requested_at, u.id), reverse=True))

    def file_of(self, upload: Upload) -> Path:
        """Return where an upload's file is kept."""
        return self._settings.folder / upload.id

    async def prune(self) -> None:
        """Let go of what is too old or too much; called now and then."""
        now = self._clock.now()
        for upload in self.uploads(None):
            if upload.state is UploadState.EXPECTED and upload.expires_at <= now:
                await self._expire(upload.id)
        for upload in self._beyond(now):
            await asyncio.to_thread(_unlink, self.file_of(upload))
            await self.forget(upload)

    def _beyond(self, now: datetime) -> Iterable[Upload]:
        """Return what the limits no longer leave room for, newest uploads first served."""
        kept_bytes = 0
        for number, upload in enumerate(self.uploads(None)):
            kept_bytes += upload.size_bytes or 0
            age_s = (now - upload.requested_at).total_seconds()
            is_full = kept_bytes > self._settings.max_total_bytes or number >= MAX_KEPT
            if upload.id not in self._busy and (is_full or age_s > self._settings.keep_s):
                yield upload

    async def _expire(self, id_: str) -> None:
        self._spend(id_)
        upload = self._uploads.get(id_)
        if upload is not None:
            await self._keep(replace(upload, state=UploadState.EXPIRED))

    def _spend(self, id_: str) -> None:
        self._by_digest = {d: i for d, i in self._by_digest.items() if i != id_}

    async def _keep(self, upload: Upload) -> None:
        self._uploads[upload.id] = upload
        await self._store.put_document(
            Document(
                kind=KIND,
                key=upload.id,
                body=json.dumps(_to_json(upload)),
                updated_at=self._clock.now(),
            )
        )


def _digest(credentials: str) -> str:
    return hashlib.sha256(credentials.encode("utf-8", "surrogatepass")).hexdigest()


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _to_json(upload: Upload) -> dict[str, Any]:
    stored = upload.stored_at
    return {
        "station": upload.station,
        "kind": upload.kind.value,
        "state": upload.state.value,
        "requested_by": upload.requested_by,
        "requested_at": upload.requested_at.isoformat(),
        "expires_at": upload.expires_at.isoformat(),
        "name": upload.name,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "stored_at": stored.isoformat() if stored is not None else None,
    }


def _from_json(id_: str, data: dict[str, Any]) -> Upload:
    stored = data["stored_at"]
    return Upload(
        id=id_,
        station=StationId(data["station"]),
        kind=LogKind(data["kind"]),
        state=UploadState(data["state"]),
        requested_by=data["requested_by"],
        requested_at=datetime.fromisoformat(data["requested_at"]),
        expires_at=datetime.fromisoformat(data["expires_at"]),
        name=data["name"],
        size_bytes=data["size_bytes"],
        sha256=data["sha256"],
        stored_at=datetime.fromisoformat(stored) if stored is not None else None,
    )

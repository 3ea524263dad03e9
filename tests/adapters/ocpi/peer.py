"""An eMSP: another company's platform, written against the specification and not against our code."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

Json = dict[str, Any]


def a_token(uid: str = "04AABBCC", **changes: Any) -> Json:
    return {
        "country_code": "DE",
        "party_id": "MSP",
        "uid": uid,
        "type": "RFID",
        "contract_id": f"DE-MSP-C{uid}",
        "issuer": "Example Mobility",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": "2026-01-01T00:00:00Z",
        **changes,
    }


@dataclass
class Emsp:
    """Remembers what it is told. `their_token` opens its door."""

    port: int
    encodes: bool = True
    versions: tuple[str, ...] = ("2.2.1", "2.1.1")
    our_party: tuple[str, str] = ("DE", "MSP")
    their_token: str = "msp-secret-for-the-cpo"
    """What the CPO must show."""
    cpo_token: str = ""
    """What opens the CPO's door."""
    tokens: list[Json] = field(default_factory=list)
    page: int = 2
    is_down: bool = False
    endless: bool = False
    next_url: str = ""
    verdict: str = "ALLOWED"
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path, body."""
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, module: str, method: str | None = None) -> list[Any]:
        return [b for m, p, b in self.got if f"/{module}" in p and method in (None, m)]

    def until(self, is_so: Any, *, within_s: float = 20.0) -> None:
        end_s = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < end_s, [(m, p) for m, p, _ in self.got][-20:]
            time.sleep(0.05)

    # --- asking -----------------------------------------------------------------------------------

    def authorization(self, token: str | None = None) -> dict[str, str]:
        text = token if token is not None else self.cpo_token
        written = base64.b64encode(text.encode()).decode() if self.encodes else text
        return {"Authorization": f"Token {written}"}

    def ask(
        self, method: str, url: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        return httpx.request(
            method,
            url,
            json=body,
            headers={**self.authorization(token), **headers},
            timeout=10,
        )

    def credentials(self) -> Json:
        details = {"name": "Example Mobility"}
        country, party = self.our_party
        role = {
            "role": "EMSP",
            "business_details": details,
            "party_id": party,
            "country_code": country,
        }
        return {"token": self.their_token, "url": f"{self.base}/versions", "roles": [role]}

    def register(self, url: str, token_a: str, *, version: str = "2.2.1") -> httpx.Response:
        """Register at a CPO with its token A, as the specification's diagram goes."""
        versions = self.ask("GET", url, token=token_a).json()["data"]
        details = next(v["url"] for v in versions if v["version"] == version)
        endpoints = self.ask("GET", details, token=token_a).json()["data"]["endpoints"]
        credentials = next(e["url"] for e in endpoints if e["identifier"] == "credentials")
        body = self.credentials()
        if version == "2.1.1":
            role = body.pop("roles")[0]
            body |= {k: role[k] for k in ("business_details", "party_id", "country_code")}
        answer = self.ask("POST", credentials, body, token=token_a)
        data = answer.json().get("data")
        if data:
            self.cpo_token = data["token"]
            self.modules = {e["identifier"]: e["url"] for e in self._endpoints(url, version)}
        return answer

    def _endpoints(self, url: str, version: str) -> list[Json]:
        versions = self.ask("GET", url).json()["data"]
        details = next(v["url"] for v in versions if v["version"] == version)
        found: list[Json] = self.ask("GET", details).json()["data"]["endpoints"]
        return found

    modules: dict[str, str] = field(default_factory=dict)

    # --- answering --------------------------------------------------------------------------------

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "PUT", "POST", "PATCH", "DELETE"])
        async def anything(path: str, request: Request) -> JSONResponse:
            if self.is_down:
                return JSONResponse({"oops": True}, 503)
            wanted = self.authorization(self.their_token)["Authorization"]
            if request.headers.get("Authorization") != wanted:
                return JSONResponse({"status_code": 2001, "timestamp": "x"}, 401)
            content = await request.body()
            body = await request.json() if content else None
            self.headers.append(dict(request.headers))
            if request.method != "GET":
                self.got.append((request.method, f"/{path}?{request.url.query}", body))
            return self._answer(path, request, body)

        return app

    def _answer(self, path: str, request: Request, body: Any) -> JSONResponse:
        headers: dict[str, str] = {}
        data: Any = None
        if path == "versions":
            data = [{"version": v, "url": f"{self.base}/{v}"} for v in self.versions]
        elif path in self.versions:
            data = {"version": path, "endpoints": self._modules(path)}
        elif path.endswith("/tokens") and request.method == "GET":
            data, headers = self._tokens(request)
        elif path.endswith("/authorize"):
            uid = path.split("/")[-2]
            token = next((t for t in self.tokens if t["uid"] == uid), a_token(uid))
            data = {"allowed": self.verdict, "token": token, "authorization_reference": "ref-1"}
        elif path.endswith("credentials") and request.method == "POST":
            self.cpo_token = body["token"]
            self.their_token = "token-c-of-the-msp"
            data = self.credentials()
        return JSONResponse(
            {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": data},
            headers=headers,
        )

    def _modules(self, version: str) -> list[Json]:
        roles = {
            "credentials": "RECEIVER",
            "locations": "RECEIVER",
            "sessions": "RECEIVER",
            "cdrs": "RECEIVER",
            "tariffs": "RECEIVER",
            "tokens": "SENDER",
            "commands": "SENDER",
        }
        return [
            {"identifier": m, "url": f"{self.base}/{version}/{m}"}
            | ({} if version == "2.1.1" else {"role": role})
            for m, role in roles.items()
        ]

    def _tokens(self, request: Request) -> tuple[list[Json], dict[str, str]]:
        offset = int(request.query_params.get("offset", 0))
        part = self.tokens[offset : offset + self.page]
        url = f"{self.base}/2.2.1/tokens?offset={offset + self.page}&limit={self.page}"
        if self.endless:
            return self.tokens[:1], {"Link": f'<{url}>; rel="next"'}
        if self.next_url:
            return part, {"Link": f'<{self.next_url}>; rel="next"'}
        if offset + self.page < len(self.tokens):
            return part, {"Link": f'<{url}>; rel="next"'}
        return part, {}


@contextmanager
def an_emsp(**settings: Any) -> Iterator[Emsp]:
    """Run a peer on loopback, on a thread of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.setblocking(False)
    peer = Emsp(port=listener.getsockname()[1], **settings)
    config = uvicorn.Config(peer.app(), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
    )
    thread.start()
    try:
        yield peer
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()

"""A partner's customer charges at a running site: from the invitation to the bill, over two processes."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

from tests.adapters.ocpi.peer import Emsp, a_token, an_emsp
from tests.e2e.rig import Rig, SiteOptions, free_port, running
from tests.e2e.test_cli import wattkeeper

EXTRA = """
billing:
  currency: EUR
  tariff: standard
  tariffs: {{standard: {{elements: [{{prices: [{{type: energy, price: 0.4, vat_percent: 25}}]}}]}}}}
ocpi:
  listen: "127.0.0.1:{port}"
  url: "http://127.0.0.1:{port}/ocpi"
  country_code: SE
  party_id: WKP
  operator: Rig AB
  address: Industrigatan 1
  city: Umea
  country: SWE
  latitude: 63.825
  longitude: 20.263
  allow_private_partners: true
"""


async def eventually(read: Any, is_so: Any, *, within_s: float, what: str) -> Any:
    """Ask again and again without holding up what else runs."""
    for _ in range(int(within_s * 5)):
        value = await asyncio.to_thread(read)
        if is_so(value):
            return value
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {within_s} s: {what}; last {value}")


async def charge_as_a_customer(rig: Rig, emsp: Emsp, url: str) -> None:
    done = await asyncio.to_thread(
        wattkeeper, "ocpi", "invite", "msp", "--site", str(rig.site_file)
    )
    assert done.returncode == 0, done.stderr
    token_a = done.stdout.rpartition("token A:")[2].strip()
    answer = await asyncio.to_thread(emsp.register, f"{url}/versions", token_a)
    assert answer.json()["status_code"] == 1000, answer.text

    def location() -> Any:
        found = emsp.ask("GET", emsp.modules["locations"]).json()["data"]
        return found[0] if found else {"evses": []}

    await rig.do(do="unplug", evse="CP001/1")
    free = lambda place: [e for e in place["evses"] if e["status"] == "AVAILABLE"]  # noqa: E731
    place = await eventually(location, free, within_s=40, what="an EVSE is free")
    start = {
        "response_url": f"{emsp.base}/2.2.1/commands/START_SESSION/1",
        "token": a_token("04APP", type="APP_USER"),
        "location_id": place["id"],
        "evse_uid": free(place)[0]["uid"],
    }
    begun = await asyncio.to_thread(
        emsp.ask, "POST", f"{emsp.modules['commands']}/START_SESSION", start
    )
    assert begun.json()["data"]["result"] == "ACCEPTED", begun.text
    vehicle = {"name": "van", "phases": 3, "max_a": 32}
    await rig.do(do="plug_in", evse="CP001/1", vehicle=vehicle)


async def one_session(folder: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/ocpi"
    options = SiteOptions(
        chargers=2, limit_a=100, building_peak_a=20, extra=EXTRA.format(port=port)
    )
    with an_emsp() as emsp:
        async with running(folder, options) as rig:
            await rig.until(lambda: min(rig.drawn_a().values()) > 1, within_s=60, what="charging")
            await charge_as_a_customer(rig, emsp, url)
            pushed = lambda: emsp.of("sessions", "PUT")  # noqa: E731
            sessions = await eventually(pushed, bool, within_s=40, what="a session is told")
            assert sessions[0]["status"] == "ACTIVE"
            await rig.until(
                lambda: rig.drawn_a()["CP001/1"] > 5, within_s=40, what="the van charges"
            )
            energy = lambda: rig_energy(rig)  # noqa: E731
            await eventually(energy, lambda wh: wh > 60, within_s=60, what="some energy")
            stop = {
                "response_url": f"{emsp.base}/2.2.1/commands/STOP_SESSION/1",
                "session_id": sessions[0]["id"],
            }
            stop_url = f"{emsp.modules['commands']}/STOP_SESSION"
            ended = await asyncio.to_thread(emsp.ask, "POST", stop_url, stop)
            assert ended.json()["data"]["result"] == "ACCEPTED"
            [cdr] = await eventually(lambda: emsp.of("cdrs"), bool, within_s=40, what="a bill")
            assert emsp.of("commands/STOP_SESSION") == [{"result": "ACCEPTED"}]
            listed = (await rig.get("/api/v1/sessions?id_token=04APP"))["items"]
            assert round(cdr["total_energy"] * 1000) == round(listed[0]["energy_wh"])
            assert cdr["cdr_token"]["uid"] == "04APP"
            bills = await asyncio.to_thread(
                wattkeeper,
                *("billing", "export", "--site", str(rig.site_file)),
                *("--from", "2020-01-01", "--to", "2099-01-01"),
            )
            rows = [
                r for r in csv.DictReader(io.StringIO(bills.stdout)) if r["id_token"] == "04APP"
            ]
            assert [float(r["cost_excl_vat"]) for r in rows] == [cdr["total_cost"]["excl_vat"]]


def rig_energy(rig: Rig) -> float:
    answer = asyncio.run(rig.get("/api/v1/evses/CP001/1"))
    return float(answer["energy_wh"] or 0.0)


def test_from_the_invitation_to_the_bill(tmp_path: Path) -> None:
    asyncio.run(one_session(tmp_path))
    assert (tmp_path / "rig.db.partners.key").stat().st_mode & 0o077 == 0

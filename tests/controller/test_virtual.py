"""Calculated meters: sums, differences, and what stations report."""

from __future__ import annotations

from dataclasses import replace

from controller.image import ProcessImage
from controller.phases import PhaseCurrents
from controller.readings import EvseSample, GridReading
from controller.site import MeterId, Site, StationId, VirtualMeter, evse_id
from controller.station import EvseSampled, EvseState, EvseStateChanged, StationConnected
from tests.controller.builders import a_circuit, a_site
from tests.controller.test_image import HandClock

A, B, SUM, REST = MeterId("a"), MeterId("b"), MeterId("sum"), MeterId("rest")
CP = StationId("CP001")


def reading(l1_a: float, *, power_w: float | None = None, fingerprint: str = "") -> GridReading:
    return GridReading(
        current=PhaseCurrents(l1_a=l1_a, l2_a=0.0, l3_a=0.0),
        power_total_w=power_w,
        voltage_v=(230.0, 231.0, 232.0),
        fingerprint=fingerprint,
    )


def site_with(*virtual: VirtualMeter, metered: str = "sum") -> Site:
    site = a_site(
        circuits=[
            a_circuit("main", meter="a"),
            a_circuit("garage", parent="main", meter="b"),
            a_circuit("rest", parent="main", meter=metered),
        ],
        evses=1,
    )
    meters = {m: site.meters[m] for m in (A, B)}
    return replace(site, meters=meters, virtual_meters={v.id: v for v in virtual})


def image_of(site: Site) -> tuple[ProcessImage, HandClock, list[str]]:
    clock, woken = HandClock(), list[str]()
    return ProcessImage(site=site, clock=clock, wake=woken.append), clock, woken


def test_sum_is_as_old_as_its_oldest_part() -> None:
    image, clock, _ = image_of(site_with(VirtualMeter(id=SUM, plus=(A, B))))
    image.put_reading(A, reading(10.0, power_w=2300.0))
    clock.at_s += 4.0
    image.put_reading(B, reading(5.0, power_w=1150.0))
    view = image.freeze().meters[SUM]
    assert view.reading is not None
    assert view.reading.value.current.l1_a == 15.0
    assert view.reading.value.power_total_w == 3450.0
    assert view.reading.age_s(clock.at_s) == 4.0


def test_difference_keeps_its_sign() -> None:
    image, _, _ = image_of(site_with(VirtualMeter(id=SUM, plus=(A,), minus=(B,))))
    image.put_reading(A, reading(10.0))
    image.put_reading(B, reading(16.0))
    view = image.freeze().meters[SUM]
    assert view.reading is not None
    assert view.reading.value.current.l1_a == -6.0
    assert view.reading.value.power_total_w is None


def test_part_that_was_never_read_leaves_no_reading() -> None:
    image, _, _ = image_of(site_with(VirtualMeter(id=SUM, plus=(A, B))))
    image.put_reading(A, reading(10.0))
    image.put_fault(B, "meter b: unplugged")
    view = image.freeze().meters[SUM]
    assert (view.reading, view.fault) == (None, "meter b: unplugged")


def test_frozen_part_freezes_the_sum() -> None:
    image, clock, _ = image_of(site_with(VirtualMeter(id=SUM, plus=(A, B))))
    for second in range(60):
        image.put_reading(A, reading(10.0, fingerprint="stuck"))
        image.put_reading(B, reading(float(second), fingerprint=str(second)))
        clock.at_s += 1.0
    view = image.freeze().meters[SUM]
    assert view.changed_s is not None
    assert clock.at_s - view.changed_s == 60.0


def test_calculated_meter_can_be_part_of_another() -> None:
    site = site_with(
        VirtualMeter(id=SUM, plus=(A, B)), VirtualMeter(id=REST, plus=(SUM,), minus=(A,))
    )
    image, _, _ = image_of(site)
    image.put_reading(A, reading(10.0))
    image.put_reading(B, reading(5.0))
    assert [(m, r.current.l1_a) for m, r in image.virtual_readings(A)] == [(SUM, 15.0), (REST, 5.0)]


def test_sum_above_its_limit_wakes_the_cycle() -> None:
    image, _, woken = image_of(site_with(VirtualMeter(id=SUM, plus=(A, B))))
    image.put_reading(A, reading(40.0))
    image.put_reading(B, reading(40.0))
    assert woken == ["overload"]


def test_stations_own_meters_are_the_last_resort() -> None:
    image, clock, _ = image_of(site_with(VirtualMeter(id=SUM, stations=(CP,))))
    evse = evse_id(CP, 1)
    assert image.freeze().meters[SUM].reading is None
    image.post(StationConnected(station=CP, protocol="ocpp1.6"))
    image.post(EvseStateChanged(evse=evse, state=EvseState.AVAILABLE))
    idle = image.freeze().meters[SUM].reading
    image.post(EvseStateChanged(evse=evse, state=EvseState.CONNECTED))
    image.post(EvseSampled(evse=evse, sample=EvseSample(terminal_a=(16.0, 15.0, 14.0))))
    clock.at_s += 20.0
    drawing = image.freeze().meters[SUM].reading
    assert idle is not None
    assert max(idle.value.current) == 0.0
    assert drawing is not None
    assert tuple(drawing.value.current) == (16.0, 15.0, 14.0)
    assert drawing.age_s(clock.at_s) == 20.0

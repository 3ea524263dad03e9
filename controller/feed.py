"""Where meters deliver: the image, and the time series."""

from __future__ import annotations

from datetime import datetime

from controller import series
from controller.image import ProcessImage
from controller.ports import Clock, Store
from controller.readings import GridReading
from controller.site import MeterId


class MeterFeed:
    """Implements `MeterSink`: every reading goes to the image first, then to the spool.

    The spool takes one row per meter and second: a second one would replace it at the server.
    """

    def __init__(self, *, image: ProcessImage, store: Store, clock: Clock) -> None:
        """Feed the image and the store."""
        self._image = image
        self._store = store
        self._clock = clock
        self._sampled: dict[MeterId, datetime] = {}

    def put_reading(self, meter: MeterId, reading: GridReading) -> None:
        """Deliver a sample, taken just now."""
        self._image.put_reading(meter, reading)
        self._keep(meter, reading)
        for virtual, calculated in self._image.virtual_readings(meter):
            self._keep(virtual, calculated)

    def _keep(self, meter: MeterId, reading: GridReading) -> None:
        sample = series.of_meter(meter, reading, self._clock.now())
        if self._sampled.get(meter) != sample.at:
            self._sampled[meter] = sample.at
            self._store.put_samples([sample])

    def put_fault(self, meter: MeterId, fault: str) -> None:
        """Say why there is no sample."""
        self._image.put_fault(meter, fault)

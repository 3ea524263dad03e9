"""Uploads samples to InfluxDB."""

from adapters.influx.settings import InfluxSettings
from adapters.influx.uploader import InfluxUploader

__all__ = ["InfluxSettings", "InfluxUploader"]

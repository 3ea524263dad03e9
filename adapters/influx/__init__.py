"""Uploads samples to InfluxDB."""

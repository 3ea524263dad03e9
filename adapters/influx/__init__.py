"""Upload of stored samples to InfluxDB-compatible servers."""

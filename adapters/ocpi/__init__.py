"""OCPI: roaming partners over HTTP, as a charge point operator."""

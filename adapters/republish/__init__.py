"""Offers the site's values to PLCs and building management over Modbus TCP, read-only."""

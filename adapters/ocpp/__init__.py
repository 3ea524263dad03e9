"""Charging stations over OCPP 1.6-J and 2.0.1."""

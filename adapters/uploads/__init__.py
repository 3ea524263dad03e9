"""Receives the logs and diagnostics that stations were asked for."""

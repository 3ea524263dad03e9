"""A small site file for commands."""

SITE = """format: site/1
site: {id: yard, name: Yard, timezone: UTC}
meters:
  main: {model: eastron/sdm630, connection: "tcp://127.0.0.1:5020", unit: 1}
circuits:
  main: {limit_a: 63, device: mcb, meter: main, building_peak_a: 20}
stations:
  CP001: {circuit: main, evses: {1: {max_a: 32, fallback_a: 6}}}
"""

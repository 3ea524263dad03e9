"""Meters on Modbus: register maps as data, a robust reader."""

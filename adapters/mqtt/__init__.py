"""Publishes the site's values over MQTT, with discovery for Home Assistant. Needs the extra `mqtt`."""

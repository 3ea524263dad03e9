"""Tells people of alarms: webhooks and e-mail."""

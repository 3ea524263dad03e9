"""REST API, server-sent events, accounts and the dashboard files."""

"""The `wattkeeper` command."""

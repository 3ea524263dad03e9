"""The real controller against a simulated site in virtual time: one process, no sleeps, no sockets."""

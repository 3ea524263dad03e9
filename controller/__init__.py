"""The controller ring: domain values, the pure decision, and the shell that runs it."""

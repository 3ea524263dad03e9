"""An own small certificate authority, for sites that have none."""

"""The objects of OCPI 2.2.1, and what differs in 2.1.1 and 2.3.0."""

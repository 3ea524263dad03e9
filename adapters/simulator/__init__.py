"""A simulated site: physics, a Modbus meter and OCPP stations on real sockets."""

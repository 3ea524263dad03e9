"""The operator's own back office behind us: every station's connection relayed under its identity."""

"""The optimizer ring: pure allocation of current over a tree of limits."""

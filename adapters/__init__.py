"""The outer ring: protocols, files and screens. Adapters implement the controller's ports."""

"""The site file: YAML 1.2, validated, turned into domain values."""

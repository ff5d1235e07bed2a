"""The reference model: docs/2-policy.md in plain Python, and its comparison with the core."""

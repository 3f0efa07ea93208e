"""R2 in miniature, from its training to its launch: `make r2-mini` (examples/r2-mini/README.md).

Each step calls `tonnage` as a user would, and leaves what it found as a JSON file; one that is there is not done again.
"""

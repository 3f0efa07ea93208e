"""Exported files before the engines' own parsers: `make export-check`."""

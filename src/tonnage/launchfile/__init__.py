"""Launch files that people have - scripts, manifests, configurations - as questions: read, never executed."""

from tonnage.launchfile.asked import Written, read

__all__ = ["Written", "read"]

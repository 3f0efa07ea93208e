"""Launch files that people have - scripts, manifests, configurations - as questions: read, never executed."""

from tonnage.launchfile.asked import pooled, read, said_count, starts
from tonnage.launchfile.names import SERVING, TRAINING
from tonnage.launchfile.remark import Remark
from tonnage.launchfile.value import Written

__all__ = ["SERVING", "TRAINING", "Remark", "Written", "pooled", "read", "said_count", "starts"]

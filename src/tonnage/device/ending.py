"""How a process ends that is one of several."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def end() -> NoReturn:
    """Ends this process with success, at once.

    Threads of torch's distributed backend may still be joinable when the interpreter is torn down, and then the C++
    run-time aborts ("terminate called without an active exception") in about one run of seven with gloo: torchrun
    took a worker that had done all its work for a lost one, and began again.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)

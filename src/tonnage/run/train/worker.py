"""`python -m tonnage.run.train.worker FOLDER [UNTIL]`: one process of a run, as torchrun starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from tonnage.device.ending import end
from tonnage.run.train.start import worker

if __name__ == "__main__":
    worker(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    end()

"""A process that has done its work is not taken for a lost one."""

import subprocess
import sys

ABORTS = "import atexit, os; atexit.register(os.abort); from tonnage.device.ending import end; print('done'); "


def test_what_aborts_when_the_interpreter_is_torn_down_is_not_reached() -> None:
    torn = subprocess.run([sys.executable, "-c", ABORTS], capture_output=True, text=True)
    ended = subprocess.run([sys.executable, "-c", ABORTS + "end()"], capture_output=True, text=True)
    assert torn.returncode < 0
    assert (ended.returncode, ended.stdout) == (0, "done\n")

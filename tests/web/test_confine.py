"""What a worker of the page cannot do, each tried in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

START = (
    "import sys, pathlib; from tonnage.web.confine import confine; import {0}; confine(pathlib.Path(sys.argv[1])); {1}"
)

REFUSED = {
    "read": ("os", "open('/etc/hostname')"),
    "read by a link": ("os", "open('link')"),
    "read above": ("os", "open('../secret')"),
    "read its environment": ("os", "open('/proc/self/environ')"),
    "write above": ("os", "open('../new', 'w')"),
    "write in itself": ("tonnage, pathlib", "pathlib.Path(tonnage.__file__).with_name('new').touch()"),
    "write by number": ("os", "os.open('../new', os.O_CREAT | os.O_WRONLY)"),
    "start a program": ("subprocess", "subprocess.run(['true'])"),
    "ask the shell": ("os", "os.system('true')"),
    "become another": ("os", "os.execv('/bin/true', ['true'])"),
    "reach the network": ("socket", "socket.create_connection(('127.0.0.1', 9), 1)"),
    "a database elsewhere": ("sqlite3", "sqlite3.connect('../secret').execute('select 1')"),
}


def started(folder, modules, code):
    return subprocess.run(
        [sys.executable, "-c", START.format(modules, code), str(folder)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "work"
    inner.mkdir()
    (tmp_path / "secret").write_text("x")
    (inner / "link").symlink_to(tmp_path / "secret")
    (inner / "own").write_text("mine")
    return inner


@pytest.mark.parametrize("case", REFUSED)
def test_what_lies_beyond_the_folder_is_refused(folder, case):
    done = started(folder, *REFUSED[case])
    assert done.returncode == 1 and "PermissionError" in done.stderr, done.stderr


def test_its_own_folder_and_the_programs_files_are_its_own(folder):
    code = "print(open('own').read()); open('new', 'w').write('x'); from tonnage.catalog import load; load(None)"
    done = started(folder, "tonnage", code)
    assert (done.stdout, done.stderr) == ("mine\n", "") and (folder / "new").read_text() == "x"


def test_more_than_its_memory_is_refused(folder):
    done = started(folder, "tonnage", "bytearray(7_000_000_000)")
    assert "MemoryError" in done.stderr


def test_a_worker_answers_and_reads_no_file_elsewhere(folder):
    asks = [
        ["fit", "llama-3.1-8b", "--on=1xh100"],
        ["fit", "/etc/hostname", "--on=1xh100"],
        ["launch", "/etc/hostname"],
        ["fit", "llama-3.1-8b", "--on=1xh100", "--output=x.json"],
    ]
    lines = "".join(json.dumps({"id": n, "argv": argv}) + "\n" for n, argv in enumerate(asks))
    command = [sys.executable, "-m", "tonnage.cli.page_worker", str(folder)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [line for line in lines if "progress" not in line]
    assert [each["code"] for each in told] == [0, 2, 2, 2]
    assert told[0]["answer"]["sentence"].startswith("Yes")
    assert all("outside the folder of the page" in each["errors"][0]["text"] for each in told[1:3])
    assert not Path(folder / "x.json").exists()

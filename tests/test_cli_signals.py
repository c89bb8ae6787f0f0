"""Signals that end a process: `init` removes what it has begun, whichever comes and how often."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
from cli_cases import INIT, call
from test_processes import environment, posix

from fastxavier.checkpoints import _init
from fastxavier.cli import _signals
from fastxavier.cli._signals import signals_as_exceptions

pytestmark = posix

# Those that end a process by default and can be caught, faults aside. Python ignores SIGPIPE and
# SIGXFSZ, and pytest's faulthandler takes SIGABRT.
NAMES = ["HUP", "QUIT", "ABRT", "ALRM", "TERM", "USR1", "USR2", "XCPU", "VTALRM", "PROF", "IO"]
SIGNALS = [getattr(signal, f"SIG{name}") for name in NAMES if hasattr(signal, f"SIG{name}")]
if hasattr(signal, "SIGRTMIN"):
    SIGNALS += [signal.SIGRTMIN, signal.SIGRTMAX]

SCRIPT = """
import os, resource, signal, sys
from fastxavier.checkpoints import _init
from fastxavier.cli import main

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal(signal.SIGINT, signal.default_int_handler)

def end(arrays, plan, **options):
    print(sum(name.endswith(".partial") for name in os.listdir()), flush=True)
    for number in sys.argv[1].split():
        os.kill(os.getpid(), int(number))
    print("not ended")
    os._exit(7)

_init.init_ = end
sys.exit(main(sys.argv[2:]))
"""


def killed(*numbers):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, " ".join(str(int(n)) for n in numbers), *INIT],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_every_signal_that_ends_a_process(folder, number):
    (folder / "new.safetensors").write_text("before")
    before = sorted(folder.iterdir())
    ended = killed(number)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "1\n", "")
    assert sorted(folder.iterdir()) == before
    assert (folder / "new.safetensors").read_text() == "before"


def test_ctrl_c(folder):
    ended = killed(signal.SIGINT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "1\n", "")
    assert not list(folder.glob(".*"))


def test_no_other_is_missing():
    """All signals of this system are in one of the lists."""
    left_alone = {getattr(signal, name, None) for name in _signals.LEFT_ALONE}
    by_python = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", None), signal.SIGINT}
    others = set(map(int, signal.valid_signals())) - {*map(int, filter(None, left_alone))}
    others -= {*map(int, filter(None, by_python)), *map(int, SIGNALS)}
    names = {signal.Signals(n).name for n in others if n in set(map(int, signal.Signals))}
    assert names <= {"SIGTRAP", "SIGSYS", "SIGPWR", "SIGSTKFLT", "SIGEMT", "SIGPOLL"}


@pytest.mark.parametrize("second", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
def test_a_second_signal(folder, capsys, monkeypatch, first, second):
    """It does not interrupt the removal; the status is that of the first."""
    first, second = (getattr(signal, name) for name in (first, second))
    unlink = pathlib.Path.unlink
    sent = []

    def interrupted(path, *rest):
        sent.append(path)
        signal.raise_signal(second)
        unlink(path, *rest)

    monkeypatch.setattr(pathlib.Path, "unlink", interrupted)
    monkeypatch.setattr(_init, "init_", lambda *rest, **options: signal.raise_signal(first))
    before, handlers = sorted(folder.iterdir()), list(map(signal.getsignal, signal.valid_signals()))
    status = 130 if first == signal.SIGINT else 128 + first
    assert call(capsys, *INIT) == (status, [], [])
    assert len(sent) == 1
    assert sorted(folder.iterdir()) == before
    assert list(map(signal.getsignal, signal.valid_signals())) == handlers


def test_signals_that_are_not_ours(monkeypatch):
    """Ignored ones, as under nohup, and those that the program handles stay as they are."""
    heard = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with signals_as_exceptions():
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGUSR1, before[1])
    assert heard == [signal.SIGUSR1]


def test_in_another_thread():
    """Where no handler can be set, nothing is."""
    found = []

    def work():
        with signals_as_exceptions():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_nohup(folder):
    """A hangup is then no end."""
    script = SCRIPT.replace("resource.setr", "signal.signal(1, signal.SIG_IGN)\nresource.setr")
    ended = subprocess.run(
        [sys.executable, "-c", script, "1", *INIT],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=os.getcwd(),
    )
    assert ended.returncode == 7

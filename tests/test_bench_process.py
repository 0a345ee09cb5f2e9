"""What a process cost."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nvcodec.bench.process import run
from nvcodec.errors import NvcodecError


def python(code):
    return run([sys.executable, "-S", "-c", code])


def test_cpu_and_wall_seconds_are_those_of_the_command():
    idle = python("import time; time.sleep(0.5)")
    assert idle.wall >= 0.5 and idle.cpu < 0.4
    busy = python("import time\nwhile time.process_time() < 0.5: pass")
    assert busy.cpu >= 0.5


def test_peak_memory_is_the_commands_not_ours():
    ballast = bytearray(300 << 20)
    small, large = python("pass"), python("b'x' * (200 << 20)")
    assert len(ballast) and small.peak < 100 << 20
    assert (200 << 20) < large.peak < (260 << 20)


def test_children_count():
    cost = python("import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', \"b'x' * (150 << 20)\"])")
    assert cost.peak > 150 << 20


def test_output_is_kept_and_the_environment_given():
    cost = run([sys.executable, "-c", "import os; print(os.environ['WORD'])"], {"WORD": "plover"})
    assert cost.log == "plover\n"


def test_failures_are_one_line():
    with pytest.raises(NvcodecError, match="^the reason$"):
        python("import sys; print('noise'); sys.exit('the reason')")
    with pytest.raises(NvcodecError, match="code 3$"):
        python("import sys; sys.exit(3)")
    with pytest.raises(NvcodecError, match="No such file"):
        run(["/nowhere/program"])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_command_ends_with_the_one_that_asked_for_it(tmp_path, how):
    """Nothing goes on in the background."""
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "import signal, sys\nfrom nvcodec.bench.process import run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs start without
        f"run([sys.executable, '-c', {code!r}])"
    )
    ours = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child = int(mark.read_text())
    os.kill(ours.pid, how)
    ours.wait(30)
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the command outlived the one that started it")

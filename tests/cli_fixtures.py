"""What the tests of the command line share, loaded by them as a plugin."""

import pytest
from nvc_samples import tiny_nvc

from nvcodec.cli.main import main


@pytest.fixture(scope="module")
def data():
    return tiny_nvc(meta={"title": "tiny \x1b[31m"})


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A command line run in this process, in a folder of its own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def tiny(run, data):
    """Files in the folder of `run`: whole, cut within the third group, and damaged in the second."""
    content, offsets = data
    damaged = bytearray(content)
    damaged[offsets[1] + 50] ^= 16
    for name, what in (("tiny", content), ("cut", content[: offsets[2] + 30]), ("damaged", damaged)):
        with open(f"{name}.nvc", "wb") as file:
            file.write(what)
    return run

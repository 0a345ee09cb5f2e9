"""`python -m nvcodec` is `nvc`."""

from nvcodec.cli.main import run

run()

"""`python -m nvcodec` is `nvc`."""

import sys

from nvcodec.cli.main import main

sys.exit(main())

"""Rate, distortion and speed of codecs on clips: `nvc bench` under the name of a tool.

python tools/rd_bench.py CLIP... [-c CODEC]... [--bpp 0.1,0.2] [--size 320x180] [-o results.json]
"""

import sys

from nvcodec.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))

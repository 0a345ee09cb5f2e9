"""Files to frames and back: everything that touches pixels outside the codec.

Import what is needed from the modules: `source` and `sink` open files, `color` converts planes to RGB and back,
`y4m` is the stream format's header and framing.
"""

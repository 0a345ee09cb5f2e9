"""Every cap on untrusted input, each with its reason.

A file, a pipe and a y4m header may say anything. What they say is compared with these numbers before anything of that
size is allocated, whether or not the checksums are right; a larger number is a `LimitError`. The encoder obeys the same
caps, so that no file it writes is refused. They are generous: real videos are far below them.
"""

# Pictures -------------------------------------------------------------------------------------------------------------

MAX_DIMENSION = 2**15
"""Width or height in luma samples: four times 8K, and products of two still fit 32 bits."""

MAX_PIXELS = 2**26
"""Width x height: twice 8K. A frame of three 16-bit planes then takes at most 384 MiB."""

MAX_GROUP_FRAMES = 2**12
"""Frames in a group: over a minute at 60 frames per second."""

MAX_GROUP_PIXELS = 2**29
"""Frames x width x height of a group, which a decoder may hold at once: 258 frames at 1080p, 64 at 4K."""

MAX_FRAMES = 2**32 - 1
"""Frames in a file: the width of the field that counts them; over two years at 60 frames per second."""

MAX_PTS = 2**62 - 1
"""Magnitude of a timestamp in units of the time base: differences of differences then still fit 64 bits."""

# Networks -------------------------------------------------------------------------------------------------------------

MAX_TENSORS = 1024
"""Tensors in a model: several for each layer of a network of over a hundred layers."""

MAX_RANK = 4
"""Axes of a tensor: output, input, height and width of a convolution."""

MAX_PARAMETERS = 2**26
"""Values in all tensors of a model: 256 MiB as 32-bit numbers, ten times the largest model of the literature."""

MAX_ACTIVATIONS = 2**31
"""Values of the largest layer of a frame-wise network, for one frame: 8 GiB, four times what 96 channels at 4K take."""

MAX_MAGNITUDE = 2**24 - 1
"""Magnitude of a coded integer: float32 holds every such integer exactly."""

# Bytes ----------------------------------------------------------------------------------------------------------------

MAX_GROUPS = 2**22
"""Groups in a file: two days at 60 frames per second in groups of three."""

MAX_GROUP_BYTES = 2**29
"""Payload of a group or a window: MAX_PARAMETERS values that do not compress at all, and as much again for the rest."""

MAX_MODEL_BYTES = 2**16
"""Payload of a model record: MAX_TENSORS shapes of MAX_RANK axes at their longest take 42 KiB."""

MAX_META_BYTES = 2**16
"""Payload of the metadata: settings and provenance, not a place for files."""

MAX_META_DEPTH = 16
"""Nesting of the metadata, so that no reader needs a deep stack."""

MAX_INDEX_BYTES = 2**26
"""Payload of the index: MAX_GROUPS entries at their longest."""

MAX_RECOVERY_BYTES = 2**28
"""Bytes of damaged payloads that recovery looks into for lost chunks; beyond it only the framing is followed, so that
the work stays proportional to the size of the file."""

MAX_Y4M_HEADER_BYTES = 256
"""The y4m header line: real ones are under 96 bytes."""

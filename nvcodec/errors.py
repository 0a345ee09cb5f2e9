"""Every failure that a user can meet, one class and one exit code per kind.

    NvcodecError                1   anything of ours that has no better name
    +-- UsageError              2   arguments or settings that cannot be carried out
    +-- SourceError             3   the input video cannot be opened, read or represented
    +-- TargetError             4   the output cannot be written, or exists and --force was not given
    +-- FormatError             5   the bytes are not a valid .nvc file
    |   +-- NotNvcError         5   the magic is wrong: another kind of file, or a text-mode copy
    |   +-- MalformedError      5   a field, record or payload breaks a rule of the specification
    |   +-- VersionError        6   a valid file of a format version that this release does not read
    |   +-- FeatureError        6   a valid file that needs a feature that this release does not have
    |   +-- TruncatedError      7   the file ends before it is complete; whole groups before the cut still decode
    |   +-- ChecksumError       8   a CRC does not match: the bytes were damaged
    |   +-- LimitError          9   a declared size is over a cap of `nvcodec.limits`
    +-- VerifyError            10   decoded pixels are not those that the encoder saw
    +-- SelfCheckError         11   the encoder decoded its own bytes and got something else
    +-- DeviceError            12   the device that was asked for is not there or ran out of memory

Messages are one line, say what is wrong and, where there is one, name the fix. An interrupted command exits with 130,
as shells expect of SIGINT.
"""


class NvcodecError(Exception):
    """Base of all errors that nvcodec raises on purpose."""

    exit_code = 1


class UsageError(NvcodecError):
    """Arguments or settings that cannot be carried out."""

    exit_code = 2


class SourceError(NvcodecError):
    """The input video cannot be opened, read or represented."""

    exit_code = 3


class TargetError(NvcodecError):
    """The output cannot be written, or exists already."""

    exit_code = 4


class FormatError(NvcodecError):
    """The bytes are not a valid .nvc file."""

    exit_code = 5


class NotNvcError(FormatError):
    """The magic bytes are wrong."""


class MalformedError(FormatError):
    """A field, record or payload breaks a rule of the specification."""


class VersionError(FormatError):
    """The format version is not one that this release reads."""

    exit_code = 6


class FeatureError(FormatError):
    """The file needs a feature that this release does not have."""

    exit_code = 6


class TruncatedError(FormatError):
    """The file ends before it is complete."""

    exit_code = 7


class ChecksumError(FormatError):
    """A CRC does not match."""

    exit_code = 8


class LimitError(FormatError):
    """A declared size is over a cap."""

    exit_code = 9


class VerifyError(NvcodecError):
    """Decoded pixels differ from those that the encoder saw."""

    exit_code = 10


class SelfCheckError(NvcodecError):
    """The encoder's own output decoded to something else."""

    exit_code = 11


class DeviceError(NvcodecError):
    """The requested device is missing or ran out of memory."""

    exit_code = 12

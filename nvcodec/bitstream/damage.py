"""What is wrong with a file that is read all the same: one finding for each fault, for programs and as a line."""

import enum
from dataclasses import dataclass

from nvcodec.errors import FormatError, TruncatedError


class Kind(enum.Enum):
    """What a finding means for the reader of the file."""

    CUT = "cut"  # the file ends before it is complete
    LOST = "lost"  # groups are missing, or a window that is shared, from number `group` on
    LEFT_OUT = "left out"  # group `group` is there, but cannot be decoded
    TOTALS = "totals"  # the end record counts other groups or frames than were found
    DAMAGED = "damaged"  # bytes that cannot be read, or follow no rule


@dataclass(frozen=True)
class Damage:
    """One finding; `str` gives its line."""

    kind: Kind
    text: str
    group: int | None = None

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, error: FormatError, then: str = "") -> "Damage":
        """An error that is passed over; `then` says what is done about it."""
        return cls(Kind.CUT if isinstance(error, TruncatedError) else Kind.DAMAGED, f"{error}{then}")

"""Metadata: a JSON object that a person reads and no decoder needs (settings, provenance, titles).

It is untrusted text: show it with `json.dumps`, which escapes what a terminal would obey.
"""

import json
import math
from typing import Any, NoReturn

from nvcodec import limits
from nvcodec.errors import LimitError, MalformedError


def pack_meta(meta: dict[str, Any]) -> bytes:
    """The payload of a metadata chunk: UTF-8 JSON, keys sorted, so that equal metadata has equal bytes.

    What `unpack_meta` would refuse is refused here in the same way.
    """
    data = json.dumps(meta, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    unpack_meta(data)
    return data


def unpack_meta(data: bytes) -> dict[str, Any]:
    """From the payload of a metadata chunk.

    RFC 8259 to the letter: no NaN or infinity, no number that overflows to one, no integer beyond
    64 bits, no key twice, no lone surrogate.
    `LimitError` over `MAX_META_BYTES` bytes or `MAX_META_DEPTH` levels, `MalformedError` for what is no such object.
    """
    if len(data) > limits.MAX_META_BYTES:
        raise LimitError(f"metadata: {len(data)} bytes, over the cap of {limits.MAX_META_BYTES}")
    try:
        text = data.decode("utf-8")
        if _depth(text) > limits.MAX_META_DEPTH:
            raise LimitError(f"metadata: nested deeper than {limits.MAX_META_DEPTH} levels")
        meta = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float, parse_int=_int)
        json.dumps(meta, ensure_ascii=False).encode("utf-8")
    except ValueError as error:  # of UTF-8, of JSON, of numbers with too many digits, of our hooks, of lone surrogates
        raise MalformedError(f"metadata: not valid JSON in UTF-8 ({type(error).__name__})") from None
    if not isinstance(meta, dict):
        raise MalformedError("metadata: the JSON text is not an object")
    return meta


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings, in one pass: never less than a parser would reach."""
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key twice")
    return result


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number that is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError("an integer of more than 64 bits")
    return int(text)

"""Bytes <-> records of the .nvc format; standard library only.

    fields       varints and exact reads
    registry     permanent wire ids
    header       the first 28 bytes
    records      one dataclass per record: pack, unpack, validate
    frames       what stands before the symbols of coded frames
    metadata     a JSON object for people
    index        where each group is
    chunks       framing: type, flags, length, checksums; finding the next chunk again after damage
    sequence     the rules that tie a record to those before it, one checker for both directions
    damage       what was found wrong and passed over
    walk         one pass over the chunks of a file
    container    Reader and Writer
    survey       where the bytes of a file went

`bitstream_spec.md` is the normative text; the layouts here follow it field by field.
"""

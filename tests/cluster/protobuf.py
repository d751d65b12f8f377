"""Protocol buffers' wire format, as much of it as kubelet's plugin APIs need: strings, booleans, nested messages."""

from __future__ import annotations

from collections import defaultdict

VARINT, BYTES = 0, 2  # the wire types


def encode(*fields: tuple[int, str | bytes | bool]) -> bytes:
    """A message of (number, value) fields. One that is repeated is given again; a message in it is encoded already."""
    parts = []
    for number, value in fields:
        if isinstance(value, bool):
            parts += [varint(number << 3 | VARINT), varint(value)]
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += [varint(number << 3 | BYTES), varint(len(data)), data]
    return b"".join(parts)


def entry(key: str, value: str | bytes) -> bytes:
    """One entry of a map: the value of the map's field, once for each key."""
    return encode((1, key), (2, value))


def decode(message: bytes) -> dict[int, list[bytes]]:
    """The strings and messages in a message by their field's number, still encoded; numbers in it are skipped."""
    fields: dict[int, list[bytes]] = defaultdict(list)
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        size, position = read_varint(message, position)  # of a number it is the number itself
        if tag & 7 == BYTES:
            fields[tag >> 3].append(message[position : position + size])
            position += size
    return fields


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth bit set."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 127) << shift
        shift, position = shift + 7, position + 1
        if byte < 128:
            return number, position

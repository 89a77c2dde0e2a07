"""Protobuf's wire format, as far as mutations need it."""


def varint(value: int, length: int = 0) -> bytes:
    """Protobuf varint of an unsigned value, padded (overlong) to at least `length` bytes."""
    encoded = bytearray()
    while value > 0x7F or len(encoded) + 1 < length:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields_of(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """(number, wire type, where the tag starts, where the value starts, where it ends) of each
    field; none where the bytes are no message."""
    fields: list[tuple[int, int, int, int, int]] = []
    at = 0
    size = len(data)
    try:
        while at < size:
            start = at
            tag, at = read_varint(data, at)
            value = at
            match tag & 7:
                case 0:
                    _, at = read_varint(data, at)
                case 1:
                    at += 8
                case 2:
                    length, value = read_varint(data, at)
                    at = value + length
                case 5:
                    at += 4
                case _:
                    return []
            if at > size:
                return []
            fields.append((tag >> 3, tag & 7, start, value, at))
    except IndexError:
        return []
    return fields


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7

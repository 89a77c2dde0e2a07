"""Columnar message types: which fields of a protobuf class are columns, and their bytes.

`ColumnSchema` finds the columns in the class's descriptor, so that names, field numbers and types
are written once, in the .proto file.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from numpy.typing import ArrayLike, NDArray

from mevstream.cext.columnar import Layout
from mevstream.codecs.envelope import envelope_bytes
from mevstream.errors import InputError

NONE = 0xFFFFFFFF
"""What key and name columns hold for none."""

_PACKED = {
    FieldDescriptor.TYPE_FIXED32: np.dtype("<u4"),
    FieldDescriptor.TYPE_SFIXED32: np.dtype("<i4"),
    FieldDescriptor.TYPE_FLOAT: np.dtype("<f4"),
    FieldDescriptor.TYPE_FIXED64: np.dtype("<u8"),
    FieldDescriptor.TYPE_SFIXED64: np.dtype("<i8"),
    FieldDescriptor.TYPE_DOUBLE: np.dtype("<f8"),
}

MessageT = TypeVar("MessageT", bound=Message)


class ColumnSchema(Generic[MessageT]):
    """The columns of one message type, and reading and writing them.

    Columns are the repeated fixed-width fields of `message_class` and the `bytes` fields that
    `widths` names with their bytes a row (they read as uint8 arrays of shape (n, width)). A
    `bytes padding` field, if there is one, aligns the payloads.

    `leaders` are columns named `<table>_…`: every column of that table has as many rows as the
    leader has, or is missing. A missing column reads as its value in `defaults`, else as NaN
    (float, double) or zeros. That is what a reader finds in batches of a writer that is too old
    to know the column; columns that the reader does not know are passed over.
    """

    def __init__(
        self,
        message_class: type[MessageT],
        *,
        leaders: Sequence[str] = (),
        widths: Mapping[str, int] | None = None,
        defaults: Mapping[str, int] | None = None,
    ) -> None:
        self.message_class = message_class
        widths, defaults = widths or {}, defaults or {}
        leader_of = {leader.partition("_")[0]: leader for leader in leaders}
        fields = message_class.DESCRIPTOR.fields_by_name
        columns: list[tuple[str, int, np.dtype[Any], int, str | None, float]] = []
        for name, field in fields.items():
            if name in widths:
                dtype, width = np.dtype(np.uint8), widths[name]
            elif field.is_packed and field.type in _PACKED:
                dtype = _PACKED[field.type]
                width = dtype.itemsize
            else:
                continue
            leader = leader_of.get(name.partition("_")[0])
            missing = float("nan") if dtype.kind == "f" else 0
            columns.append((name, field.number, dtype, width, leader, defaults.get(name, missing)))
        padding = fields["padding"].number if "padding" in fields else 0
        self.layout = Layout(columns, padding)
        """Where the columns are, for the extensions."""
        self.columns: dict[str, np.dtype[Any]] = {column[0]: column[2] for column in columns}
        self.envelope = {
            name: field.number
            for name, field in fields.items()
            if name not in self.columns and name != "padding"
        }
        """Field numbers of what is no column, by name."""
        if strangers := (widths.keys() | defaults.keys() | set(leaders)) - self.columns.keys():
            raise ValueError(f"{self._name} has no column {', '.join(sorted(strangers))}")

    @property
    def _name(self) -> str:
        return self.message_class.DESCRIPTOR.name

    def read(self, data: bytes) -> tuple[MessageT, dict[str, NDArray[Any]]]:
        """(the message without its columns, read-only arrays by column name).

        The arrays are views on `data`, whatever order and runs its fields come in, save for a
        column that is split into several runs (copied) and one that is missing (its default).
        Raises InputError for what is no such message, and where row counts differ.
        """
        try:
            rest, columns = self.layout.read(data)
            return self.message_class.FromString(rest), columns
        except (ValueError, DecodeError) as error:
            raise InputError(f"{self._name}: {error}") from None

    def read_envelope(self, data: bytes) -> MessageT:
        """The message without its columns, for who wants to know only what batch it is: a small
        part of the work. Raises InputError for what is no such message."""
        try:
            return self.message_class.FromString(self.layout.rest(data))
        except (ValueError, DecodeError) as error:
            raise InputError(f"{self._name}: {error}") from None

    def write(self, envelope: Mapping[str, Any], columns: Mapping[str, ArrayLike]) -> bytes:
        """The bytes of a message: `envelope` gives the other fields (None leaves one out).

        Raises InputError for an unknown name or a value that does not fit its field, a column
        of the wrong shape, and row counts that differ within a table.
        """
        if misplaced := self.columns.keys() & envelope.keys():
            raise InputError(f"{self._name}: {', '.join(sorted(misplaced))} is a column")
        head = envelope_bytes(self.message_class, envelope)
        try:
            return self.layout.write(head, columns)
        except ValueError as error:
            raise InputError(f"{self._name}: {error}") from None

    def check_references(self, view: Any, columns: Iterable[str], size: int) -> None:
        """Raises InputError where one of these uint32 columns of `view` has a row, other than NONE,
        that a table of `size` rows does not have."""
        for column in columns:
            rows = getattr(view, column)
            # NONE + 1 wraps to 0.
            if len(rows) and (rows + np.uint32(1)).max() > size:
                raise InputError(f"{self._name}: {column} points outside its table")

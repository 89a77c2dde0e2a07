class BatchDecoder:
    """Decodes raw batches into columnar parsed batches. Not for use by two threads at once."""

    def decode(self, raw: bytes | bytearray | memoryview) -> bytes:
        """RawBatch message (schemas/raw.proto) → ParsedBatch message (schemas/parsed.proto).

        Records that are no ConfirmedTransaction are listed in `malformed`; the others are decoded
        all the same.

        Raises:
            ValueError: the envelope itself is no RawBatch.
            MemoryError: no memory for the columns.
        """

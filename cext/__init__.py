"""Cython: wire reader, swap decoding, columns."""

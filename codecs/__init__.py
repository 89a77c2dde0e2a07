"""Bytes to batches and back."""

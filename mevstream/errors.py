"""Errors that a user can do something about. The command line prints them as one line."""


class MevstreamError(Exception):
    """What went wrong, in one line that names the input and the cause."""


class InputError(MevstreamError, ValueError):
    """An input is not what it should be: unreadable, cut off, of another format."""

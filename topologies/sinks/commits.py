"""Whether a consumer group takes a member's commits while it gets records."""

import time

SECONDS = 30.0
"""How long records may come and no commit be answered."""

_SILENCE_SECONDS = 20.0
_DOUBT_SECONDS = 5.0


class CommitWatch:
    """Knows a member that reads and cannot commit.

    Seen with librdkafka 2.16 and the new group protocol: after a fault a member waits for its
    coordinator for ever, while the broker answers it everything else and gives its partitions to
    others. Only a new member gets out of that. A broker that is away is another matter: then no
    records come, and the time without an answer does not count.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._since: float | None = None  # the first commit that was not answered
        self._taken_at = 0.0

    def asked(self) -> None:
        """A commit was asked for."""
        if self._since is None:
            self._since = time.monotonic()

    def answered(self) -> None:
        """A commit was taken."""
        self._since = None

    def away(self) -> None:
        """The broker cannot be reached."""
        if self._since is not None:
            self._since = time.monotonic()

    def taken(self) -> None:
        """A record came."""
        now = time.monotonic()
        if now - self._taken_at > _SILENCE_SECONDS:
            self.away()
        self._taken_at = now

    @property
    def refused(self) -> bool:
        """Nothing was committed for too long, and records came all the while."""
        return self._since is not None and self._taken_at - self._since > self.seconds

    @property
    def in_doubt(self) -> bool:
        """A commit now would wait for as long as the client likes."""
        return self._since is not None and time.monotonic() - self._since > _DOUBT_SECONDS

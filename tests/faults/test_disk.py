"""The embedded store on a disk that is too small."""

from pathlib import Path

from faults.disk import SmallDisk


def test_a_full_disk_is_told_and_given_room_nothing_is_lost(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path)
    disk.fill_up(seed=1)
    assert disk.problems == []

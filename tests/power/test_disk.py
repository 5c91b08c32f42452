"""What a disk may have lost when its power was cut."""

import random

from tests.power.disk import SECTOR, Disk

ROOT = "/root"
_TRIES = 300  # cuts


def _cuts(disk, name):
    """All contents that the file had after many cuts; None: it was not there."""
    found = set()
    for seed in range(_TRIES):
        after = disk.after_a_cut(random.Random(seed))
        found.add(after[name][1] if name in after else None)
    return found


def _synced(name="/root/a", content=b""):
    disk = Disk(ROOT)
    disk.hold(name, content, 1)
    return disk


def test_what_was_synced_is_always_there():
    disk = _synced()
    disk.names["/root/a"].write(0, b"x" * 2000, 1)
    disk.names["/root/a"].sync(2)
    assert {b"x" * 2000} == _cuts(disk, "/root/a")


def test_what_began_before_a_sync_and_ended_after_it_may_be_lost():
    disk = _synced()
    disk.names["/root/a"].write(0, b"x", 3)
    disk.names["/root/a"].sync(2)
    assert {b"", b"x"} <= _cuts(disk, "/root/a")


def test_a_write_is_torn_at_sectors_and_in_any_order():
    disk = _synced(content=b"o" * 3 * SECTOR)
    disk.names["/root/a"].write(0, b"n" * 3 * SECTOR, 1)
    found = _cuts(disk, "/root/a")
    old, new = b"o" * SECTOR, b"n" * SECTOR
    assert {a + b + c for a in (old, new) for b in (old, new) for c in (old, new)} == found


def test_a_sector_may_be_in_each_of_its_versions():
    disk = _synced(content=b"o" * SECTOR)
    for number, data in enumerate((b"1", b"2")):
        disk.names["/root/a"].write(0, data * SECTOR, number)
    assert {b"o" * SECTOR, b"1" * SECTOR, b"2" * SECTOR} == _cuts(disk, "/root/a")


def test_what_a_truncation_took_away_does_not_come_back_after_it():
    disk = _synced(content=b"o" * 2 * SECTOR)
    disk.names["/root/a"].truncate(0, 1)
    disk.names["/root/a"].write(0, b"n" * SECTOR, 2)
    disk.names["/root/a"].write(SECTOR, b"n" * SECTOR, 3)
    found = _cuts(disk, "/root/a")
    assert {b"o" * 2 * SECTOR, b"", b"n" * 2 * SECTOR} <= found
    assert not [content for content in found if b"o" in content and b"n" in content]


def test_a_file_that_grew_may_have_its_length_and_not_its_bytes():
    disk = _synced()
    disk.names["/root/a"].write(0, b"n" * 2 * SECTOR, 1)
    assert bytes(2 * SECTOR) in _cuts(disk, "/root/a")


def test_a_name_lasts_once_its_folder_was_synced():
    disk = Disk(ROOT)
    file = disk.make("/root/a", 1)
    file.write(0, b"x", 2)
    file.sync(3)
    assert {None, b"x"} == _cuts(disk, "/root/a")
    disk.sync_folder(ROOT, 4)
    assert {b"x"} == _cuts(disk, "/root/a")


def test_a_folder_that_is_lost_takes_all_in_it_along():
    disk = Disk(ROOT)
    disk.make("/root/b", 1, is_folder=True)
    disk.make("/root/b/a", 2).sync(3)
    disk.sync_folder("/root/b", 4)
    assert {None, b""} == _cuts(disk, "/root/b/a")
    disk.sync_folder(ROOT, 5)
    assert {b""} == _cuts(disk, "/root/b/a")


def test_a_file_that_replaces_another_is_one_or_the_other():
    disk = _synced(content=b"old")
    disk.make("/root/part", 1).write(0, b"new", 2)
    disk.names["/root/part"].sync(3)
    disk.rename("/root/part", "/root/a", 4)
    assert {b"old", b"new"} == _cuts(disk, "/root/a")


def test_names_of_different_files_are_lost_in_any_order():
    disk = Disk(ROOT)
    disk.make("/root/a", 1)
    disk.make("/root/b", 2)
    there = {tuple(disk.after_a_cut(random.Random(seed))) for seed in range(_TRIES)}
    assert {(), ("/root/a",), ("/root/b",), ("/root/a", "/root/b")} == there

"""When a home volume is full, and when it has room again."""

from pathlib import Path

import pytest
from ranvier_broker.home import FULL_BYTES, ROOM_BYTES, Room, is_full, measured

GIB = 1024**3


@pytest.mark.parametrize(
    ("room", "was_full", "full"),
    [
        (Room(GIB, 2 * GIB), False, False),
        (Room(FULL_BYTES, GIB), False, False),
        (Room(FULL_BYTES - 1, GIB), False, True),
        (Room(ROOM_BYTES - 1, GIB), True, True),
        (Room(ROOM_BYTES, GIB), True, False),
        (Room(2 * FULL_BYTES, 16 * FULL_BYTES), True, False),
        (Room(GIB, 2 * GIB, files_left=0), False, True),
        (Room(0, 0), False, False),
    ],
    ids=str,
)
def test_full_and_with_room_are_apart(room: Room, was_full: bool, full: bool) -> None:
    assert is_full(room, was_full) is full


def test_a_folder_is_measured(tmp_path: Path) -> None:
    room = measured(tmp_path)
    assert 0 <= room.left <= room.size

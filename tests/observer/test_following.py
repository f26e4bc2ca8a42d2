import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurorad.observer import following as module
from aurorad.observer.files import File
from aurorad.observer.following import Following, Piece, Position
from aurorad.observer.walk import place_at


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stdout"


def follow(log: Path, start: Position | None = None) -> Following:
    return Following(File(place_at(log.parent), log.name), start)


def beginning(log: Path) -> Position:
    return Position(log.stat().st_ino, 0)


def write(log: Path, text: str | bytes) -> None:
    with log.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def rotate(log: Path, backups: int = 5) -> None:
    """As coordinators do it."""
    for number in range(backups - 1, 0, -1):
        if (old := log.with_name(f"{log.name}.{number}")).exists():
            old.rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))
    log.touch()


def pieces(following: Following) -> list[Piece]:
    found = []
    while (piece := following.read()) is not None:
        found.append(piece)
    return found


def told(following: Following) -> list[str]:
    return [piece.text if piece.kind == "text" else f"<{piece.kind}>" for piece in pieces(following)]


def test_what_is_written_comes_once(log: Path) -> None:
    write(log, "before\n")
    following = follow(log)
    assert told(following) == []
    write(log, "one\n")
    assert told(following) == ["one\n"]
    assert told(following) == []
    write(log, "two\n")
    assert told(following) == ["two\n"]
    following.close()


def test_a_file_that_is_not_there_yet_is_read_from_its_beginning(log: Path) -> None:
    following = follow(log, Position(0, 0))
    assert told(following) == []
    write(log, "first\n")
    assert told(following) == ["first\n"]
    following.close()


def test_characters_come_whole_and_bytes_that_are_none_are_replaced(log: Path) -> None:
    log.touch()
    following = follow(log, beginning(log))
    write(log, "a€".encode()[:2])
    (piece,) = pieces(following)
    assert (piece.text, piece.position.offset) == ("a", 1)
    write(log, "€".encode()[1:] + b"\xff!")
    assert told(following) == ["€\ufffd!"]
    following.close()


def test_a_position_is_where_to_go_on(log: Path) -> None:
    write(log, "one\ntwo\n")
    following = follow(log, Position(log.stat().st_ino, 4))
    (piece,) = pieces(following)
    assert piece == Piece("text", Position(log.stat().st_ino, 8), "two\n")
    following.close()
    assert Position.read(str(piece.position)) == piece.position
    assert [Position.read(text) for text in ("", "1", "a-b", "1--2", "1-2-3", "9" * 30 + "-1")] == [None] * 6


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(log: Path) -> None:
    write(log, "one\n")
    following = follow(log, beginning(log))
    assert told(following) == ["one\n"]
    write(log, "two\n")
    rotate(log)
    write(log, "three\n")
    assert told(following) == ["two\n", "<rotated>", "three\n"]
    following.close()


def test_logs_rotated_several_times_between_two_looks_are_all_read(log: Path) -> None:
    write(log, "0\n")
    following = follow(log, beginning(log))
    assert told(following) == ["0\n"]
    for number in range(1, 4):
        os.utime(log, (number, number))
        rotate(log)
        write(log, f"{number}\n")
    assert told(following) == ["<rotated>", "1\n", "<rotated>", "2\n", "<rotated>", "3\n"]
    following.close()


def test_of_logs_that_were_rotated_out_of_existence_the_oldest_left_comes_next(log: Path) -> None:
    write(log, "0\n")
    os.utime(log, (1, 1))
    following = follow(log, beginning(log))
    assert told(following) == ["0\n"]
    for number in range(1, 6):
        rotate(log, backups=2)
        write(log, f"{number}\n")
    assert told(following) == ["<rotated>", "3\n", "<rotated>", "4\n", "<rotated>", "5\n"]
    following.close()


def test_a_log_that_was_removed_and_begun_anew_does_not_bring_back_older_ones(log: Path) -> None:
    write(log.with_name("stdout.1"), "older\n")
    os.utime(log.with_name("stdout.1"), (1, 1))
    write(log, "old\n")
    following = follow(log, beginning(log))
    assert told(following) == ["old\n"]
    log.unlink()
    assert told(following) == []
    write(log, "new\n")
    assert told(following) == ["<rotated>", "new\n"]
    following.close()


def test_who_comes_back_after_a_rotation_goes_on_in_the_old_log(log: Path) -> None:
    write(log, "one\ntwo\n")
    position = Position(log.stat().st_ino, 4)
    rotate(log)
    write(log, "three\n")
    following = follow(log, position)
    assert told(following) == ["two\n", "<rotated>", "three\n"]
    following.close()


def test_a_log_that_is_cut_begins_anew(log: Path) -> None:
    write(log, "a long line\n")
    following = follow(log)
    assert told(following) == []
    os.truncate(log, 0)
    write(log, "short\n")
    assert told(following) == ["<cut>", "short\n"]
    following.close()


def test_who_is_far_behind_is_taken_near_the_end_at_a_line(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 100)
    monkeypatch.setattr(module, "FAR_BYTES", 1000)
    write(log, "".join(f"line {n:04}\n" for n in range(500)))
    following = follow(log, beginning(log))
    first, *rest = told(following)
    assert first == "<skipped>"
    assert "".join(rest).startswith("line 049")
    assert "".join(rest).endswith("line 0499\n")
    following.close()


def test_a_log_that_becomes_a_link_out_is_not_followed_there(log: Path) -> None:
    (log.parent / "sandbox").mkdir()
    secret, inside = log.parent / "secret", log.parent / "sandbox" / "stdout"
    secret.write_text("secret\n")
    inside.write_text("one\n")
    following = follow(inside, beginning(inside))
    assert told(following) == ["one\n"]
    inside.unlink()
    inside.symlink_to("../secret")
    assert told(following) == []
    following.close()


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["write", "write", "rotate", "read", "return"]), max_size=25))
def test_whatever_happens_no_line_is_lost_or_told_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    log = tmp_path_factory.mktemp("log") / "stdout"
    log.touch()
    following, position = follow(log, beginning(log)), beginning(log)
    written, said = 0, ""
    for step in [*steps, "read"]:
        if step == "write":
            write(log, f"{written}\n")
            written += 1
        elif step == "rotate":
            rotate(log, backups=100)
        elif step == "read":
            for piece in pieces(following):
                said, position = said + piece.text, piece.position
        else:
            following.close()
            following = follow(log, position)
    following.close()
    assert said == "".join(f"{number}\n" for number in range(written))

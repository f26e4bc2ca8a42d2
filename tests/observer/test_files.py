from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.observer import files
from aurorad.observer.files import File, Window
from aurorad.observer.walk import place_at


@pytest.mark.parametrize(
    ("offset", "length", "window"),
    [
        (0, -1, Window(0, b"0123456789", 10)),
        (-1, -1, Window(10, b"", 10)),
        (4, 3, Window(4, b"456", 10)),
        (8, 100, Window(8, b"89", 10)),
        (99, 5, Window(10, b"", 10)),
        (0, 0, Window(0, b"", 10)),
    ],
)
def test_windows(tmp_path: Path, offset: int, length: int, window: Window) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    assert files.read_window(File(place_at(tmp_path), "f"), offset, length) == window


def test_a_huge_file_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    huge = File(place_at(tmp_path), "huge")
    window = files.read_window(huge, 0, -1)
    assert (len(window.data), window.size) == (files.LARGEST_WINDOW, 1 << 40)
    assert files.read_tail(huge, 1000).offset == (1 << 40) - 1000


def test_a_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\ntwo\nthree\n")
    assert files.read_tail(File(place_at(tmp_path), "f"), 9).data == b"three\n"
    assert files.read_tail(File(place_at(tmp_path), "f"), 100).data == b"one\ntwo\nthree\n"
    (tmp_path / "g").write_text("one line without an end")
    assert files.read_tail(File(place_at(tmp_path), "g"), 3).data == b"end"


@given(st.text(max_size=60), st.integers(1, 7))
def test_pieces_of_text_are_cut_between_characters(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "text").write_bytes(text.encode())
    size, offset, pieces = max(size, 4), 0, []
    while (window := files.read_window(File(place_at(folder), "text"), offset, size)).data:
        pieces.append(window.data.decode())
        offset = window.end
    assert "".join(pieces) == text


@given(st.binary(max_size=60))
def test_bytes_that_are_no_text_are_passed_on_too(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "bytes").write_bytes(data)
    offset, read_all = 0, b""
    while (window := files.read_window(File(place_at(folder), "bytes"), offset, 4)).data:
        read_all += window.data
        offset = window.end
    assert read_all == data


def test_a_folder_is_listed_by_name_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").touch()
    (tmp_path / "a").symlink_to("../secret")
    entries = files.list_folder(place_at(tmp_path), "").rows
    assert [(entry.name, entry.target) for entry in entries] == [("a", "../secret"), ("sub", None)]
    with pytest.raises(NotADirectoryError):
        files.list_folder(place_at(tmp_path), "sub/file")


def test_old_logs_are_found_beside_the_new_one_latest_first(tmp_path: Path) -> None:
    for name in ("stdout", "stdout.10", "stdout.2", "stdout.1", "stdout.0", "stdout.x", "stderr.1", "stdout.1.gz"):
        (tmp_path / name).write_text(name)
    (tmp_path / "stdout.3").mkdir()
    (tmp_path / "stdout.4").symlink_to("stdout.1")
    old = files.rotated(File(place_at(tmp_path), "stdout"))
    assert [(one.name, one.size) for one in old] == [("stdout.1", 8), ("stdout.2", 8), ("stdout.10", 9)]
    assert files.rotated(File(place_at(tmp_path), "nowhere/stdout")) == []

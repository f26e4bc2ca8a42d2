import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.observer import files
from aurorad.observer.files import Refused, Window


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    folder = tmp_path / "sandbox"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("inside\n")
    (tmp_path / "secret").write_text("outside\n")
    (tmp_path / "sandbox-of-another").mkdir()
    (tmp_path / "sandbox-of-another" / "file").write_text("outside\n")
    return folder


def read(sandbox: Path, path: str) -> bytes:
    return files.read_window(sandbox, path, 0, -1).data


def test_a_file_within_is_read(sandbox: Path) -> None:
    assert read(sandbox, "sub/file") == read(sandbox, "/sub//file") == read(sandbox, "sub/../sub/file") == b"inside\n"


@pytest.mark.parametrize(
    "path",
    ["../secret", "sub/../../secret", "../sandbox-of-another/file", "nothing", "sub", "", ".", "a\0b", "x" * 5000],
)
def test_what_is_outside_missing_or_no_file_is_refused(sandbox: Path, path: str) -> None:
    with pytest.raises(Refused):
        read(sandbox, path)


def test_an_absolute_path_is_one_within_the_sandbox(sandbox: Path) -> None:
    with pytest.raises(Refused):
        read(sandbox, str(sandbox.parent / "secret"))


def test_links_are_followed_within_the_sandbox_and_refused_beyond(sandbox: Path) -> None:
    (sandbox / "near").symlink_to("sub/file")
    (sandbox / "far").symlink_to("../secret")
    (sandbox / "absolute").symlink_to(sandbox.parent / "secret")
    (sandbox / "folder").symlink_to(sandbox.parent)
    (sandbox / "loop").symlink_to("loop")
    assert read(sandbox, "near") == b"inside\n"
    for path in ("far", "absolute", "folder/secret", "loop"):
        with pytest.raises(Refused):
            read(sandbox, path)


def test_a_link_put_in_place_after_the_check_is_not_followed(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between resolving and opening, the owner of the sandbox swaps a folder for a link."""
    resolve = os.path.realpath

    def resolve_then_swap(path: Path, *, strict: bool = False) -> str:
        resolved = resolve(path, strict=strict)
        if str(path).endswith("file"):
            (sandbox / "sub").rename(sandbox / "moved")
            (sandbox / "sub").symlink_to(sandbox.parent / "sandbox-of-another")
        return resolved

    monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
    with pytest.raises(Refused):
        read(sandbox, "sub/file")


def test_a_pipe_neither_blocks_nor_is_shown(sandbox: Path) -> None:
    os.mkfifo(sandbox / "pipe")
    with pytest.raises(Refused):
        read(sandbox, "pipe")


def test_no_descriptor_is_left_open(sandbox: Path) -> None:
    os.mkfifo(sandbox / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("sub/file", "sub", "nothing", "pipe", "../secret"):
        for reader in (read, files.list_folder):
            try:
                reader(sandbox, path)
            except (Refused, NotADirectoryError):
                continue
    assert len(os.listdir("/proc/self/fd")) == before


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
    assert files.read_window(tmp_path, "f", offset, length) == window


def test_a_huge_file_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    window = files.read_window(tmp_path, "huge", 0, -1)
    assert (len(window.data), window.size) == (files.LARGEST_WINDOW, 1 << 40)
    assert files.read_tail(tmp_path, "huge", 1000).offset == (1 << 40) - 1000


def test_a_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\ntwo\nthree\n")
    assert files.read_tail(tmp_path, "f", 9).data == b"three\n"
    assert files.read_tail(tmp_path, "f", 100).data == b"one\ntwo\nthree\n"
    (tmp_path / "g").write_text("one line without an end")
    assert files.read_tail(tmp_path, "g", 3).data == b"end"


@given(st.text(max_size=60), st.integers(1, 7))
def test_pieces_of_text_are_cut_between_characters(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "text").write_bytes(text.encode())
    size, offset, pieces = max(size, 4), 0, []
    while (window := files.read_window(folder, "text", offset, size)).data:
        pieces.append(window.data.decode())
        offset = window.end
    assert "".join(pieces) == text


@given(st.binary(max_size=60))
def test_bytes_that_are_no_text_are_passed_on_too(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "bytes").write_bytes(data)
    offset, read_all = 0, b""
    while (window := files.read_window(folder, "bytes", offset, 4)).data:
        read_all += window.data
        offset = window.end
    assert read_all == data


def test_logs_in_the_sandbox_are_read_from_the_sandbox() -> None:
    assert files.log_file("/s/x", "/s/x/.logs", "p", 1, "stdout") == (Path("/s/x"), ".logs/p/1/stdout")
    assert files.log_file("/s/x", "/s/x-logs", "p", 1, "stdout") == (Path("/s/x-logs"), "p/1/stdout")
    assert files.log_file("/s/x", None, "p", 0, "stderr") == (Path("/s/x"), ".logs/p/0/stderr")


@pytest.mark.parametrize("process", ["", ".", "..", "a/b", "a\0b"])
def test_a_process_name_is_no_path(process: str) -> None:
    with pytest.raises(Refused):
        files.log_file("/s", "/s/.logs", process, 0, "stdout")


def test_a_folder_is_listed_by_name_and_links_are_not_followed(sandbox: Path) -> None:
    (sandbox / "a").symlink_to("../secret")
    entries = files.list_folder(sandbox, "").rows
    assert [entry.name for entry in entries] == ["a", "sub"]
    assert entries[0].size == len("../secret")
    with pytest.raises(NotADirectoryError):
        files.list_folder(sandbox, "sub/file")

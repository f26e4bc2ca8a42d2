"""Folders are measured and removed whole, whatever is in them and whatever becomes of them meanwhile."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.folders import removal, sizes
from tests.somebody import somebody

REPOSITORY = Path(__file__).parents[1]
KB = 1024


def used(folder: Path) -> int:
    return sum(sizes(folder))


def dig(folder: Path, depth: int) -> None:
    """So many directories in each other, more than any path can name; a file of 8 KB in the last."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(file, b"x" * 8 * KB)
    os.close(file)
    os.close(fd)


@pytest.fixture
def descriptors() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.usefixtures("descriptors")
class TestSizes:
    def test_blocks_count_wherever_the_file_lies(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"x" * 16 * KB)
        (tmp_path / "b" / "c").mkdir(parents=True)
        (tmp_path / "b" / "c" / "d").write_bytes(b"x" * 100)
        assert used(tmp_path) == 20 * KB

    def test_holes_are_free_and_room_set_aside_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "sparse").touch()
        os.truncate(tmp_path / "sparse", 1 << 30)
        with (tmp_path / "allocated").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 64 * KB)
        assert used(tmp_path) == 64 * KB

    def test_a_file_with_several_names_counts_once(self, tmp_path: Path) -> None:
        (tmp_path / "inside").mkdir()
        (tmp_path / "inside" / "a").write_bytes(b"x" * 64 * KB)
        os.link(tmp_path / "inside" / "a", tmp_path / "inside" / "b")
        assert used(tmp_path / "inside") == 64 * KB
        os.link(tmp_path / "inside" / "a", tmp_path / "outside")
        assert used(tmp_path / "inside") == 64 * KB * 2 // 3, "what lies elsewhere is not ours to pay"

    def test_a_link_counts_its_length_and_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 64 * KB)
        inside = tmp_path / "inside"
        inside.mkdir()
        (inside / "to-folder").symlink_to("../elsewhere")
        (inside / "to-file").symlink_to("../elsewhere/large")
        (inside / "dangling").symlink_to("/nowhere")
        assert used(inside) == len("../elsewhere") + len("../elsewhere/large") + len("/nowhere")

    def test_directories_and_special_files_count_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        os.mkfifo(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "socket"))
        assert used(tmp_path) == 0

    def test_a_link_in_the_place_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "a").write_bytes(b"x")
        (tmp_path / "link").symlink_to("real")
        assert used(tmp_path / "link") == 0

    def test_a_folder_that_is_not_there_is_empty(self, tmp_path: Path) -> None:
        assert used(tmp_path / "gone") == 0

    def test_a_tree_deeper_than_any_path_counts_to_its_bottom(self, tmp_path: Path) -> None:
        top = tmp_path / "top"
        top.mkdir()
        dig(top, 2500)
        (top / "beside").write_bytes(b"x" * 4 * KB)
        assert used(top) == 12 * KB
        assert sum(removal(top)) == 2500 + 3

    def test_a_folder_replaced_by_a_link_while_it_is_walked_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 64 * KB)
        inside = tmp_path / "inside"
        (inside / "folder").mkdir(parents=True)
        walk = sizes(inside)
        total = next(walk)
        (inside / "folder").rmdir()
        (inside / "folder").symlink_to("../elsewhere")
        assert total + sum(walk) == 0

    def test_a_tree_moved_away_while_it_is_walked_does_not_lead_out(self, tmp_path: Path) -> None:
        top = tmp_path / "top"
        top.mkdir()
        dig(top, 40)
        (top / "beside").mkdir()
        (top / "beside" / "a").write_bytes(b"x" * 4 * KB)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 64 * KB)
        deep = top.joinpath(*"d" * 38)
        walk, total = sizes(top), 0
        for part in walk:
            total += part
            if part == 8 * KB:  # at the bottom, on the way back
                (deep / "d").rename(tmp_path / "elsewhere" / "d")
        assert total == 12 * KB

    def test_a_deep_folder_that_shuts_the_way_back_ends_no_walk(self) -> None:
        with somebody() as place:
            shut = place.joinpath("top", *"d" * 40)
            shut.mkdir(parents=True)
            (place / "top" / "beside").mkdir()
            (place / "top" / "beside" / "a").write_bytes(b"x" * 4 * KB)
            shut.chmod(0o400)  # it may be listed, and nothing be reached from it
            assert used(place / "top") == 4 * KB

    def test_what_vanishes_is_passed_over(self, tmp_path: Path) -> None:
        for number in range(50):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "file").write_bytes(b"x")
        walk = sizes(tmp_path)
        next(walk)
        shutil.rmtree(tmp_path)
        assert sum(walk) == 0

    def test_a_walk_that_is_given_up_leaves_nothing_open(self, tmp_path: Path) -> None:
        dig(tmp_path, 50)
        walk = sizes(tmp_path)
        for _ in range(80):
            next(walk)
        del walk

    def test_many_files_take_little_memory_and_come_in_small_parts(self, tmp_path: Path) -> None:
        for number in range(4000):
            os.close(os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY))
        tracemalloc.start()
        assert sum(1 for _ in sizes(tmp_path)) > 200
        assert tracemalloc.get_traced_memory()[1] < 100 * KB
        tracemalloc.stop()


@pytest.mark.usefixtures("descriptors")
class TestRemoval:
    def test_everything_goes_and_is_counted(self, tmp_path: Path) -> None:
        top = tmp_path / "top"
        (top / "a" / "b").mkdir(parents=True)
        (top / "a" / "b" / "c").write_text("x")
        os.mkfifo(top / "fifo")
        assert sum(removal(top)) == 5
        assert not top.exists()

    def test_links_go_and_what_they_point_to_stays(self, tmp_path: Path) -> None:
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("x")
        top = tmp_path / "top"
        top.mkdir()
        (top / "folder").symlink_to("../precious")
        (top / "file").symlink_to("../precious/file")
        os.link(tmp_path / "precious" / "file", top / "other name")
        list(removal(top))
        assert not top.exists()
        assert (tmp_path / "precious" / "file").read_text() == "x"

    def test_a_folder_replaced_by_a_link_meanwhile_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("x")
        top = tmp_path / "top"
        for number in range(40):
            (top / str(number)).mkdir(parents=True)
            (top / str(number) / "file").write_text("x")
        steps = removal(top)
        next(steps)
        left = [folder for folder in top.iterdir() if folder.is_dir()]
        for folder in left:
            shutil.rmtree(folder)
            folder.symlink_to("../precious")
        with pytest.raises(NotADirectoryError):
            list(steps)
        assert (tmp_path / "precious" / "file").read_text() == "x"
        list(removal(top))
        assert not top.exists()

    def test_a_link_in_the_place_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("x")
        (tmp_path / "link").symlink_to("precious")
        with pytest.raises(NotADirectoryError):
            list(removal(tmp_path / "link"))
        assert (tmp_path / "precious" / "file").exists()

    def test_a_folder_that_is_gone_is_no_error(self, tmp_path: Path) -> None:
        assert list(removal(tmp_path / "gone")) == []
        assert list(removal(tmp_path / "gone" / "too")) == []

    def test_it_can_be_given_up_and_taken_up_again(self, tmp_path: Path) -> None:
        top = tmp_path / "top"
        top.mkdir()
        dig(top, 100)
        steps = removal(top)
        next(steps)
        del steps
        list(removal(top))
        assert not top.exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
    def test_nothing_goes_while_a_file_system_is_mounted_in_it(self, tmp_path: Path) -> None:
        """As left behind by an image: through a bind mount, somebody else's data would be removed."""
        remove = (
            "from pathlib import Path; from aurorad.folders import removal\n"
            "try: list(removal(Path('top').absolute()))\n"
            "except OSError as error: print(error)\n"
        )
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("x")
        (tmp_path / "top" / "a volume").mkdir(parents=True)
        (tmp_path / "top" / "beside").write_text("x")
        done = subprocess.run(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                'mount --bind precious "top/a volume" && "$@"',
                "sh",
                sys.executable,
                "-c",
                remove,
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "a file system is mounted in what shall be removed" in done.stdout, done.stderr
        assert (tmp_path / "precious" / "file").exists()
        assert (tmp_path / "top" / "beside").exists()

    def test_a_folder_that_its_owner_closed_goes_too(self) -> None:
        with somebody() as own:
            (own / "top" / "closed").mkdir(parents=True)
            (own / "top" / "closed" / "file").write_text("x")
            (own / "top" / "closed").chmod(0)
            list(removal(own / "top"))
            assert not (own / "top").exists()

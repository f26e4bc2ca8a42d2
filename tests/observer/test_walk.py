import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.observer import files, walk
from aurorad.observer.files import File
from aurorad.observer.walk import Place, Refused, place_at


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    folder = tmp_path / "sandbox"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("inside\n")
    (tmp_path / "secret").write_text("outside\n")
    (tmp_path / "sandbox-of-another").mkdir()
    (tmp_path / "sandbox-of-another" / "file").write_text("outside\n")
    return folder


def read(place: Place | Path, path: str) -> bytes:
    file = File(place if isinstance(place, Place) else place_at(place), path)
    return files.read_window(file, 0, -1).data


def test_a_file_within_is_read(sandbox: Path) -> None:
    assert read(sandbox, "sub/file") == read(sandbox, "/sub//./file") == read(sandbox, "sub/../sub/file") == b"inside\n"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "sub/../../secret",
        "../sandbox/sub/file",
        "../sandbox-of-another/file",
        "nothing",
        "sub/file/more",
        "sub/file/..",
        "sub",
        "",
        ".",
        "a\0b",
        "x" * 5000,
        "../" * 500,
        "sub/../" * 2000 + "sub/file",
        "\ud800",
    ],
)
def test_what_is_outside_missing_or_no_file_is_refused(sandbox: Path, path: str) -> None:
    with pytest.raises(Refused):
        read(sandbox, path)


def test_an_absolute_path_is_one_within_the_sandbox(sandbox: Path) -> None:
    with pytest.raises(Refused):
        read(sandbox, str(sandbox.parent / "secret"))


def test_links_are_followed_within_the_sandbox_and_refused_beyond(sandbox: Path) -> None:
    links = {
        "near": "sub/file",
        "sub/up": "../sub/./file",
        "whole": str(sandbox / "sub" / "file"),
        "to-link": "near",
        "far": "../secret",
        "absolute": str(sandbox.parent / "secret"),
        "folder": str(sandbox.parent),
        "sibling": str(sandbox) + "-of-another/file",
        "back": "../sandbox/sub/file",
        "loop": "loop",
        "proc": "/proc/self/root/etc/passwd",
    }
    for name, target in links.items():
        (sandbox / name).symlink_to(target)
    for path in ("near", "sub/up", "whole", "to-link"):
        assert read(sandbox, path) == b"inside\n"
    for path in ("far", "absolute", "folder/secret", "sibling", "back", "loop", "proc"):
        with pytest.raises(Refused):
            read(sandbox, path)


def test_an_absolute_link_may_spell_the_place_as_its_task_did(sandbox: Path) -> None:
    (sandbox / "link").symlink_to("/mnt/mesos/sandbox/sub/file")
    with pytest.raises(Refused):
        read(sandbox, "link")
    assert read(Place(str(sandbox), also=("/mnt/mesos/sandbox",)), "link") == b"inside\n"


def test_the_steps_to_a_place_are_no_links(sandbox: Path) -> None:
    assert read(Place(str(sandbox.parent), ("sandbox",)), "sub/file") == b"inside\n"
    (sandbox.parent / "other").symlink_to("sandbox")
    for steps in (("other",), ("..", sandbox.parent.name, "sandbox"), ("sandbox", ""), ("sandbox", "."), ("a/b",)):
        with pytest.raises(Refused):
            read(Place(str(sandbox.parent), steps), "sub/file")


def test_a_place_may_have_to_be_somebodys(sandbox: Path) -> None:
    assert read(Place(str(sandbox), owner=os.getuid()), "sub/file") == b"inside\n"
    with pytest.raises(Refused):
        read(Place(str(sandbox), owner=os.getuid() + 1), "sub/file")


def test_what_is_no_regular_file_is_never_opened(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(sandbox / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(sandbox / "socket"))
    if os.getuid() == 0:
        with suppress(PermissionError):  # in a container
            os.mknod(sandbox / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    opened, really = [], os.open

    def watch(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & os.O_PATH:
            opened.append(path)
        return really(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", watch)
    for path in ("pipe", "socket", "device"):
        with pytest.raises(Refused):
            read(sandbox, path)
    assert opened == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_a_second_name_for_somebody_elses_file_is_no_way_to_read_it(sandbox: Path) -> None:
    secret = sandbox.parent / "secret"
    secret.chmod(0o600)
    os.link(secret, sandbox / "stolen")
    os.link(sandbox / "sub" / "file", sandbox / "again")
    for path in (sandbox, sandbox / "sub" / "file"):
        os.chown(path, 1234, 1234)
    assert read(sandbox, "again") == b"inside\n"
    with pytest.raises(Refused):
        read(sandbox, "stolen")
    secret.chmod(0o644)
    assert read(sandbox, "stolen") == b"outside\n"


def test_a_link_put_in_place_at_any_moment_is_not_followed_out(sandbox: Path) -> None:
    """The owner of the sandbox swaps a folder for a link out, and a file for one, as fast as can be."""
    done = threading.Event()
    (sandbox / "link").symlink_to(sandbox.parent / "sandbox-of-another")
    (sandbox / "flink").symlink_to(sandbox.parent / "secret")
    (sandbox / "f").write_text("inside\n")

    def swap() -> None:
        while not done.is_set():
            for name, link in (("sub", "link"), ("f", "flink")):
                os.rename(sandbox / name, sandbox / "aside")
                os.rename(sandbox / link, sandbox / name)
                os.rename(sandbox / name, sandbox / link)
                os.rename(sandbox / "aside", sandbox / name)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(1500):
            for path in ("sub/file", "f"):
                with suppress(Refused):
                    seen.add(read(sandbox, path))
    finally:
        done.set()
        thread.join()
    assert seen == {b"inside\n"}


def test_no_descriptor_is_left_open(sandbox: Path) -> None:
    os.mkfifo(sandbox / "pipe")
    (sandbox / "loop").symlink_to("loop")
    (sandbox / "out").symlink_to("/etc/passwd")
    (sandbox / "in").symlink_to("sub/../sub")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("sub/file", "sub", "nothing", "pipe", "../secret", "loop", "out", "in/file", "in", "sub/file/x", "\0"):
        for reader in (read, lambda place, path: files.list_folder(place_at(place), path)):
            with suppress(Refused, NotADirectoryError):
                reader(sandbox, path)
    assert len(os.listdir("/proc/self/fd")) == before


# Random trees, random requests: what is answered is a regular file inside.

NAMES = ["a", "b", "c", "..", ".", "", "a\nb", "\u202ex", "%2e", "secret", "sandbox"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6).map("/".join)
PLAIN = st.sampled_from(["a", "b", "c", "a\nb", "\u202ex", "%2e"])


BEYOND = "what is beyond"  # in files outside


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """What to make, in order: kind, path, and the target of a link."""
    made = []
    for _ in range(draw(st.integers(1, 12))):
        path = "/".join(draw(st.lists(PLAIN, min_size=1, max_size=3)))
        kind = draw(st.sampled_from(["file", "folder", "link", "link"]))
        target = draw(st.sampled_from(["", "ROOT/", "OUTSIDE/", "/"])) + draw(PATHS)
        made.append((kind, path, target))
    return made


@contextmanager
def grown(base: Path, tree: list[tuple[str, str, str]]) -> Iterator[Path]:
    """The tree, within a folder of its own."""
    outside = base / f"{len(os.listdir(base))}"
    sandbox = outside / "sandbox"
    sandbox.mkdir(parents=True)
    for name in ("secret", "a", "b"):
        (outside / name).write_text(BEYOND)
    for kind, path, target in tree:
        with suppress(OSError):
            where = sandbox / path
            if not os.path.realpath(where.parent).startswith(str(sandbox)):
                continue
            where.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file" and not os.path.lexists(where):
                where.write_text(f"inside {path}")
            elif kind == "folder":
                where.mkdir()
            elif kind == "link":
                where.symlink_to(plain(target.replace("ROOT", str(sandbox)).replace("OUTSIDE", str(outside))))
    yield sandbox


def plain(path: str) -> str:
    """Without steps that lead nowhere; the kernel minds them after a file, the walk does not."""
    return "/" * path.startswith("/") + ("/".join(step for step in path.split("/") if step not in ("", ".")) or ".")


def by_the_kernel(sandbox: Path, path: str) -> tuple[bool, bytes | None]:
    """Whether the way ends inside, and what is in the regular file there."""
    try:
        fd = os.open(f"{sandbox}/{plain(path)}", os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return False, None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False, None
        return os.readlink(f"/proc/self/fd/{fd}").startswith(f"{sandbox}/"), os.read(fd, 1000)
    finally:
        os.close(fd)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(trees(), st.lists(PATHS, min_size=3, max_size=8))
def test_of_any_tree_only_regular_files_inside_are_read(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[str, str, str]], paths: list[str]
) -> None:
    with grown(tmp_path_factory.getbasetemp() / "trees", tree) as sandbox:
        for path in [*paths, *(path for _, path, _ in tree)]:
            inside, content = by_the_kernel(sandbox, path)
            try:
                assert (True, read(sandbox, path)) == (inside, content)
            except Refused:
                links = [target for kind, _, target in tree if kind == "link"]
                leaves = any(".." in way.split("/") or "OUTSIDE" in way for way in (path, *links))
                assert not inside or leaves or any(target.startswith("/") for target in links)


@pytest.fixture(scope="module", autouse=True)
def room_for_trees(tmp_path_factory: pytest.TempPathFactory) -> None:
    (tmp_path_factory.getbasetemp() / "trees").mkdir(exist_ok=True)


def test_the_way_is_bounded(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(300):
        deep /= "d"
    os.makedirs(deep)
    (deep / "file").write_text("deep")
    assert read(tmp_path, "d/" * 300 + "file") == b"deep"
    for n in range(50):
        (tmp_path / f"l{n}").symlink_to(f"l{n + 1}")
    with pytest.raises(Refused):
        read(tmp_path, "l0")
    assert walk.status_of(place_at(tmp_path), "d/d").st_mode & stat.S_IFDIR

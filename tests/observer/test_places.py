import os
from pathlib import Path
from typing import Any

import pytest

from aurorad.observer import places, walk
from aurorad.observer.places import Root, root_of_run
from aurorad.observer.walk import Place, Refused, place_at
from executor.checkpoint import RunnerHeader

RUN = "/var/lib/mesos/slaves/S0/frameworks/F0/executors/thermos-t1/runs/r1"
ME = os.getuid()


def header(sandbox: str | None, log_dir: str | None = None, **more: Any) -> RunnerHeader:
    return RunnerHeader("t1", 0, sandbox, log_dir=log_dir, **more)


@pytest.mark.parametrize(
    ("claimed", "steps"),
    [
        (f"{RUN}/sandbox", ("sandbox",)),
        (f"{RUN}/", ()),
        ("/data/mesos/slaves/S0/frameworks/F0/executors/thermos-t1/runs/r1/sandbox", ("sandbox",)),  # linked from /var
    ],
)
def test_a_sandbox_in_the_run_is_believed(claimed: str, steps: tuple[str, ...]) -> None:
    assert places.sandbox(root_of_run(RUN), header(claimed), ME) == Place(RUN, steps, (claimed,))


@pytest.mark.parametrize(
    "claimed",
    [
        None,
        "",
        "/",
        "/etc",
        "/root",
        "relative",
        f"{RUN[:-1]}2/sandbox",
        RUN.replace("thermos-t1", "thermos-t2") + "/sandbox",
        f"{RUN}/sand\0box",
    ],
)
def test_a_sandbox_elsewhere_is_not_believed(claimed: str | None) -> None:
    with pytest.raises(Refused):
        places.sandbox(root_of_run(RUN), header(claimed), 0)


def test_a_name_that_no_file_can_have_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        places.sandbox(Root(place_at(tmp_path)), header(f"{tmp_path}/\0"), ME)
    with pytest.raises(Refused):
        places.log(Root(place_at(tmp_path)), header(str(tmp_path), "/\0"), ME, "p", 0, "stdout")


def test_the_way_from_the_run_is_no_way_out(tmp_path: Path) -> None:
    run = tmp_path / RUN.lstrip("/")
    run.mkdir(parents=True)
    (run / "sandbox").symlink_to("/etc")
    for claimed in (run / "sandbox", f"{run}/../r1/../../../../..", f"{run}/sandbox/../.."):
        with pytest.raises(Refused):
            walk.status_of(places.sandbox(root_of_run(str(run)), header(str(claimed)), ME))


def test_logs_in_the_sandbox_are_looked_for_from_the_sandbox() -> None:
    file = places.log(root_of_run(RUN), header(f"{RUN}/sandbox", f"{RUN}/sandbox/.logs"), ME, "p", 1, "stdout")
    assert (file.place.steps, file.relative) == (("sandbox",), ".logs/p/1/stdout")


def test_logs_beside_the_sandbox_are_looked_for_in_the_run() -> None:
    file = places.log(root_of_run(RUN), header(f"{RUN}/sandbox", f"{RUN}/sandbox-logs"), ME, "p", 0, "stderr.1")
    assert (file.place.steps, file.relative) == (("sandbox-logs",), "p/0/stderr.1")
    with pytest.raises(Refused):
        places.log(root_of_run(RUN), header(f"{RUN}/sandbox", "/var/log"), ME, "p", 0, "stdout")


def test_streams_of_old_name_no_place_for_logs() -> None:
    file = places.log(Root(Place("/var/run/thermos")), header("/sandbox"), ME, "p", 0, "stdout")
    assert (str(file.place), file.relative) == ("/var/run/thermos/logs/t1", "p/0/stdout")


@pytest.mark.parametrize("process", ["", ".", "..", "a/b", "a\0b"])
def test_a_process_name_is_no_path(process: str) -> None:
    with pytest.raises(Refused):
        places.log(root_of_run(RUN), header(f"{RUN}/sandbox"), ME, process, 0, "stdout")


# Below a checkpoint root of the operator's choice a sandbox may be anywhere.


def elsewhere(tmp_path: Path, claimed: Path, stream_owner: int, uid: int | None) -> Place:
    return places.sandbox(Root(place_at(tmp_path)), header(str(claimed), uid=uid), stream_owner)


def test_a_sandbox_of_the_tasks_user_is_believed(tmp_path: Path) -> None:
    place = elsewhere(tmp_path, tmp_path, ME, ME)
    assert (str(place), place.owner) == (str(tmp_path), ME)


def test_without_a_user_id_the_users_name_counts(tmp_path: Path) -> None:
    assert places.sandbox(Root(place_at(tmp_path)), header(str(tmp_path), user="root"), ME).owner == ME or ME != 0


needs_root = pytest.mark.skipif(ME != 0, reason="needs other users")


@needs_root
@pytest.mark.parametrize(
    ("sandbox_owner", "stream_owner", "uid", "believed"),
    [
        (1234, 0, 1234, True),  # root's runner, the role's user
        (1234, 0, 99, False),
        (1234, 1234, 0, True),  # somebody's own runner, in his own folder
        (0, 1234, 0, False),  # ... and in root's
        (99, 1234, 99, False),
    ],
)
def test_whose_sandboxes_are_believed(
    tmp_path: Path, sandbox_owner: int, stream_owner: int, uid: int, believed: bool
) -> None:
    (tmp_path / "home").mkdir()
    sandbox = tmp_path / "home" / "sandbox"
    sandbox.mkdir()
    for path in (sandbox, sandbox.parent):
        os.chown(path, sandbox_owner, sandbox_owner)
    try:
        elsewhere(tmp_path, sandbox, stream_owner, uid)
    except Refused:
        assert not believed
    else:
        assert believed


@needs_root
def test_a_folder_of_root_is_believed_only_where_nobody_else_could_have_put_it(tmp_path: Path) -> None:
    above = tmp_path / "above"
    (above / "sandbox").mkdir(parents=True)
    assert elsewhere(tmp_path, above / "sandbox", 0, 1234).owner == 0
    os.chown(above, 1234, 1234)
    with pytest.raises(Refused):
        elsewhere(tmp_path, above / "sandbox", 0, 1234)
    os.chown(above, 0, 0)
    above.chmod(0o777)
    with pytest.raises(Refused):
        elsewhere(tmp_path, above / "sandbox", 0, 1234)
    above.chmod(0o1777)
    assert elsewhere(tmp_path, above / "sandbox", 0, 1234).owner == 0


@needs_root
def test_a_sandbox_that_becomes_a_link_to_somebody_elses_folder_is_not_entered(tmp_path: Path) -> None:
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    os.chown(sandbox, 1234, 1234)
    place = elsewhere(tmp_path, sandbox, 0, 1234)
    sandbox.rmdir()
    sandbox.symlink_to("/etc")
    with pytest.raises(Refused):
        walk.status_of(place, "passwd")

"""Flags that stand in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.flags import FlagError, Flags, HelpRequested, parse


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrong(*arguments: str) -> str:
    with pytest.raises(FlagError) as error:
        parse(arguments)
    return str(error.value)


@pytest.mark.parametrize("argument", ["-flagfile=flags", "--flagfile=flags", "@flags"])
def test_a_file_stands_for_the_flags_in_it(folder: Path, argument: str) -> None:
    (folder / "flags").write_text("# ours\n\n-http_port=9000\n  \t# more\n--cluster-name=x")
    assert parse([argument]) == Flags(http_port=9000, cluster_name="x")
    assert parse(["-flagfile", str(folder / "flags")]) == Flags(http_port=9000, cluster_name="x")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("-cluster_name=a b", "a b"),
        ("-cluster_name='a' \"b\"", "'a' \"b\""),
        ("-cluster_name=$HOME `id` $(id) ~ * ? [a] \\n", "$HOME `id` $(id) ~ * ? [a] \\n"),
        ("-cluster_name=a=b # c", "a=b # c"),
        ("-cluster_name=", ""),
        ("\t-cluster_name=a \t\r", "a"),
        ("-cluster_name=é", "é"),
    ],
)
def test_a_line_is_one_flag_as_it_stands_there(folder: Path, line: str, value: str) -> None:
    (folder / "flags").write_text(f"{line}\n")
    assert parse(["-flagfile=flags"]).cluster_name == value


def test_of_several_places_the_last_one_wins(folder: Path) -> None:
    (folder / "flags").write_text("-http_port=2\n-role=scheduler")
    assert parse(["-http_port=1", "-flagfile=flags"]).http_port == 2
    assert parse(["-flagfile=flags", "-http_port=3", "-role=observer"]) == Flags(http_port=3, role=("observer",))


def test_files_may_name_others_beside_them(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "common").write_text("-http_port=1\n-cluster_name=common")
    (folder / "flags").write_text("-flagfile=sub/../sub/one\n-http_port=3")
    (folder / "sub" / "one").write_text("-http_port=2\n-flagfile=common")
    assert parse([f"-flagfile={folder}/flags"]) == Flags(http_port=3, cluster_name="common")
    (folder / "both").write_text("@sub/common\n@sub/common")
    assert parse(["@both"]).http_port == 1


def test_twice_in_one_place_is_a_mistake_but_for_lists(folder: Path) -> None:
    (folder / "flags").write_text("-http_port=1\n-role=scheduler\n-role=observer\n\n-http_port=2")
    assert wrong("@flags") == "flags, line 5: -http_port was given twice, the second time with '2': once was expected"
    (folder / "flags").write_text("-role=observer\n-role=scheduler")
    assert parse(["@flags"]).role == ("observer", "scheduler")
    (folder / "flags").write_text("-http_port=2")
    assert "twice" in wrong("-http_port=1", "@flags", "-http_port=3")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\nMESOS_ROOT=/x", "flags, line 2: 'MESOS_ROOT=/x' is not a flag: -name=value was expected"),
        ("-nothing=1", "flags, line 1: unknown flag -nothing=1: -help lists those there are"),
        ("-http_port", "flags, line 1: -http_port has no value: a whole number was expected"),
        ("-http_port 8081", "flags, line 1: unknown flag -http_port 8081: -help lists those there are"),
        ("# x\n-http_port=x", "flags, line 2: -http_port=x: a whole number was expected"),
        ("-zk_digest_credentials=secret", "flags, line 1: -zk_digest_credentials=***: "),
        ("@flags", "flags, line 1: @flags: a file was expected that is not being read already"),
        ("-flagfile=none", "flags, line 1: -flagfile=none: a file of flags that can be read was expected ("),
        ("-flagfile=", "flags, line 1: -flagfile=: a file of flags that can be read was expected (a path)"),
        ("-flagfile", "flags, line 1: -flagfile has no value: a path was expected"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(folder: Path, text: str, error: str) -> None:
    (folder / "flags").write_text(text)
    assert wrong("-flagfile=flags").startswith(error)


def test_a_file_that_leads_back_to_itself_is_refused(folder: Path) -> None:
    (folder / "a").write_text("@b")
    (folder / "b").write_text("-http_port=1\n@a")
    assert wrong("@a") == "a, line 1: b, line 2: @a: a file was expected that is not being read already"


def test_what_is_no_text_is_refused(folder: Path) -> None:
    (folder / "flags").write_bytes(b"-cluster_name=\xff")
    assert wrong("@flags").startswith("@flags: a file of flags that can be read was expected (")
    assert wrong(f"@{folder}").endswith("Is a directory: '" + str(folder) + "')")


def test_a_secret_is_in_a_file_beside_that_of_its_flag(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "secret").write_text("west:5050")
    (folder / "inner" / "flags").write_text("-mesos_master_address=@secret\n-thermos_executor_path=/x")
    assert parse(["@inner/flags"]).mesos_master_address == "west:5050"


def test_what_looks_like_a_file_may_be_a_value(folder: Path) -> None:
    (folder / "secret").write_text("ann:password")
    (folder / "flags").write_text("-port=1\n-viz_job_url_prefix=@flags")
    assert parse(["-viz_job_url_prefix", "@flags"]).viz_job_url_prefix == "@flags"
    assert parse(["@flags"]) == Flags(observer_port=1, viz_job_url_prefix="@flags")


def test_help_may_be_asked_for_anywhere(folder: Path) -> None:
    (folder / "flags").write_text("-help")
    with pytest.raises(HelpRequested):
        parse(["@flags"])

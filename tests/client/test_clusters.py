from __future__ import annotations

import json
from pathlib import Path

import pytest

from client import clusters
from client.errors import CommandError
from tests.client.conftest import Runner


def load(home: Path, system: object = None, own: object = None) -> dict[str, clusters.Cluster]:
    for folder, content in ((home / "etc", system), (home / ".aurora", own)):
        if content is not None:
            folder.mkdir(exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / "clusters.json").write_text(text)
    return clusters.load({"HOME": str(home), "AURORA_CONFIG_ROOT": str(home / "etc")})


def test_without_any_file_this_machine_is_known_by_the_names_of_the_tutorials(home: Path) -> None:
    known = load(home)
    assert {name: cluster.scheduler_url for name, cluster in known.items()} == {
        "devcluster": "http://localhost:8081/",
        "example": "http://localhost:8081/",
    }


def test_the_users_file_wins_over_the_systems(home: Path) -> None:
    known = load(
        home,
        [{"name": "a", "scheduler_uri": "http://one"}, {"name": "b", "scheduler_uri": "http://two"}],
        [{"name": "b", "scheduler_uri": "http://three"}],
    )
    assert {name: cluster.scheduler_url for name, cluster in known.items()} == {
        "a": "http://one/",
        "b": "http://three/",
    }


def test_an_object_of_clusters_names_them_by_key(home: Path) -> None:
    assert list(load(home, own={"a": {"scheduler_uri": "h:1"}, "b": {"name": "c"}})) == ["a", "c"]


def test_an_address_without_scheme_is_http_and_a_path_is_kept(home: Path) -> None:
    known = load(
        home,
        own=[{"name": "a", "scheduler_uri": "localhost:55555"}, {"name": "b", "scheduler_uri": "https://h/aurora"}],
    )
    assert known["a"].scheduler_url == "http://localhost:55555/"
    assert known["b"].scheduler_url == "https://h/aurora/"


def test_pages_are_those_of_the_proxy(home: Path) -> None:
    known = load(home, own=[{"name": "a", "scheduler_uri": "h:1", "proxy_url": "https://pages"}])
    assert known["a"].proxy_url == "https://pages/"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"name": "a" "b"}]', "Unable to parse .*clusters.json: .*line 1 column"),
        ("[" * 100_000, "Unable to parse .*clusters.json: maximum recursion depth exceeded"),
        ('[{"name": 1}]', "clusters.json: name must be a text, and it is 1"),
        ('"a"', "Unknown layout in .*clusters.json"),
        ("[1]", "Clusters must be maps of key/value pairs, got int"),
    ],
)
def test_a_broken_file_is_told_with_its_name(home: Path, content: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        load(home, own=content)


def test_an_entry_without_name_is_ignored(home: Path) -> None:
    assert load(home, own=[{"scheduler_uri": "x"}]) == {}


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (
            {"zk": "z"},
            3,
            "Cluster has no defined scheduler path, must specify scheduler_zk_path in your cluster config!",
        ),
        ({}, 3, '"west" does not specify zk or scheduler_uri'),
        ({"scheduler_uri": ["x"]}, 3, 'scheduler_uri must be a text, and it is ["x"]'),
        (
            {"zk": "z:here", "scheduler_zk_path": "/p"},
            3,
            'zk must be HOST or HOST:PORT, several with commas, and it is "z:h',
        ),
        (
            {"scheduler_uri": "http://[::1:8081"},
            3,
            'scheduler_uri must be an address such as http://localhost:8081, and it is "http://[::1:8081"',
        ),
        (
            {"scheduler_uri": "h:99999"},
            3,
            'scheduler_uri must be an address such as http://localhost:8081, and it is "h:9',
        ),
        ({"scheduler_uri": f"http://{'w' * 64}"}, 3, "scheduler_uri must be an address such as http://localhost:8081"),
        ({"zk": f"z,{'w' * 64}.example:2181"}, 3, "zk must be HOST or HOST:PORT, several with commas"),
        ({"zk": "z", "zk_port": "here"}, 3, 'zk_port must be a port number, and it is "here"'),
    ],
)
def test_a_cluster_without_usable_address_says_so(
    aurora: Runner, home: Path, settings: dict[str, str], code: int, message: str
) -> None:
    load(home, own=[{"name": "west", **settings}])
    ran = aurora("job", "list", "west/*")
    assert ran.code == code
    assert message in ran.err
    assert f"(west in {home}/.aurora/clusters.json)\n" in ran.err


def test_commas_at_the_end_of_lists_are_no_error_and_texts_keep_theirs(home: Path) -> None:
    known = load(home, own='[{"name": "example", "scheduler_uri": "localhost:55555", "note": "a,]", },]')
    assert known["example"].scheduler_url == "http://localhost:55555/"
    assert known["example"].settings["note"] == "a,]"


def test_a_file_where_the_manual_of_0_5_has_it_is_read(home: Path) -> None:
    (home / ".clusters.json").write_text('[{"name": "old", "scheduler_uri": "h"}]')
    assert list(load(home)) == ["old"]


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({"zk": "one"}, "one:2181"),
        ({"zk": "one, two", "zk_port": 99}, "one:99,two:99"),
        ({"zk": "one:7,two", "zk_port": "99"}, "one:7,two:99"),
        ({}, None),
    ],
)
def test_zookeepers_without_a_port_have_the_clusters(settings: dict[str, object], hosts: str | None) -> None:
    assert clusters.Cluster("west", settings).zk_hosts == hosts


def test_an_unknown_cluster_lists_those_there_are(aurora: Runner) -> None:
    ran = aurora("job", "list", "wets/*")
    assert (ran.code, ran.err) == (3, "Unknown cluster: wets (known: devcluster, example)\n")

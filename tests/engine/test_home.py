from pathlib import Path

from aurorad.engine.local.home import Home


def test_ids_that_are_kept_already_are_not_written_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.claimed():
        assert home.framework_id("given-0001") == "given-0001"
        agent_id = home.agent_id()
        files = [tmp_path / "agent" / name for name in ("framework_id", "agent_id")]
        inodes = [file.stat().st_ino for file in files]
        assert home.framework_id("given-0001") == home.framework_id(None) == "given-0001"
        assert home.agent_id() == agent_id
        assert [file.stat().st_ino for file in files] == inodes
        assert home.framework_id("given-0002") == home.framework_id(None) == "given-0002"

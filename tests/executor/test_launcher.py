import json
import socket
import subprocess
import sys
from pathlib import Path


def test_an_engine_that_is_killed_before_it_read_the_replies_ends_the_launcher_in_silence(tmp_path: Path) -> None:
    engine, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with engine:
        with other_end:
            command = [sys.executable, "-m", "aurorad.main", "-role=launcher"]
            launcher = subprocess.Popen(command, stdin=other_end.fileno(), stderr=subprocess.PIPE, text=True)
        nowhere = {"id": "r", "directory": str(tmp_path), "identity_file": "/nowhere/executor", "environment": {}}
        engine.send(json.dumps(nowhere).encode())
        engine.recv(1, socket.MSG_PEEK)  # the reply is there, and stays unread
    _, errors = launcher.communicate(timeout=20)
    assert launcher.returncode == 0
    assert "ConnectionResetError" not in errors

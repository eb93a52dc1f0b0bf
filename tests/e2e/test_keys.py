"""Encryption keys: changed beside a running server, lost and restored, wrong."""

import base64
import os
import stat

import pytest

from media import SECONDS, clip, ffmpeg_push, finish
from server import NotReady, Server


class FileServer(Server):
    """A server whose master key is in a file beside its data folder."""

    def __init__(self, data, *options, env=None):
        self.key = data.with_name(data.name + ".key")
        super().__init__(data, *options, env={"MILLRACE_MASTER_KEY_FILE": str(self.key), **(env or {})})
        del self.env["MILLRACE_MASTER_KEY"]

    def keys(self, *words, **options):
        return self.cli("keys", words[0], "--data", str(self.data), *words[1:], **options)


@pytest.fixture
def server(tmp_path):
    running = FileServer(tmp_path / "millrace").start()
    yield running
    if running.process.poll() is None:
        running.kill()
    assert "panicked" not in running.log.read_text(errors="replace"), running.tail()


def record(server, name):
    finish(ffmpeg_push(clip(), server.rtsp_url(name, server.device(name)), paced=False))
    return server.wait_for_fragments(name, SECONDS // 2)


def played(server, name):
    answer = server.get(f"/v1/streams/{name}/clip.mp4?start=0&end=4102444800")
    assert answer.status == 200, answer.body
    return answer.body


def test_the_master_key_changes_beside_a_running_server(server):
    record(server, "door")
    before, old = played(server, "door"), server.key.read_text()
    assert "holds the new one" in server.keys("rotate-master").stdout
    assert server.key.read_text() != old and stat.S_IMODE(server.key.stat().st_mode) == 0o600
    assert "key number 2" in server.keys("rotate-stream", "--stream", "door").stdout
    record(server, "porch")
    assert played(server, "door") == before
    server.kill()
    server.start()
    assert played(server, "door") == before and played(server, "porch")
    server.stop()

    # The old key is good no more, and says so at once.
    new = server.key.read_text()
    server.key.write_text(old)
    with pytest.raises(NotReady, match="master key"):
        server.start()
    server.key.write_text(new)

    # The same on a stopped folder, to a key of our own.
    mine = server.data.with_name("mine.key")
    mine.write_bytes(base64.b64encode(os.urandom(32)))
    server.keys("rotate-master", "--new-key-file", str(mine))
    assert server.key.read_text().strip() == mine.read_text()
    server.start()
    assert played(server, "door") == before


def test_a_lost_key_table_comes_back_from_its_backup(server, tmp_path):
    record(server, "door")
    before, backup = played(server, "door"), tmp_path / "table.backup"
    server.keys("backup", "--out", str(backup))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    refused = server.keys("restore", "--from", str(backup), check=False)
    assert refused.returncode == 1 and "in use" in refused.stderr
    server.stop()
    for table in (server.data / "keys").iterdir():
        table.unlink()
    with pytest.raises(NotReady, match="restore it from a backup"):
        server.start()
    server.keys("restore", "--from", str(backup))
    server.start()
    assert played(server, "door") == before

    # A stream later the backup is old.
    record(server, "porch")
    server.stop()
    refused = server.keys("restore", "--from", str(backup), check=False)
    assert refused.returncode == 1 and "1 keys made since would be lost" in refused.stderr
    server.start()
    assert played(server, "porch")

    # By force, and with the key of a stream that was deleted since: the start destroys it again.
    server.keys("backup", "--out", str(backup))
    assert server.request("DELETE", "/v1/streams/door").status == 204
    server.stop()
    restored = server.keys("restore", "--from", str(backup), "--force").stdout
    assert "restored: 3 keys" in restored
    server.start()
    server.keys("backup", "--out", str(backup))
    assert played(server, "porch")
    server.stop()
    assert "restored: 2 keys" in server.keys("restore", "--from", str(backup)).stdout


def test_a_command_keeps_the_master_key(server, tmp_path):
    record(server, "door")
    before = played(server, "door")
    kms = tmp_path / "kms"
    kms.write_text('#!/bin/sh\nif [ "$2" = wrap ]; then base64; else base64 -d; fi\n')
    kms.chmod(0o755)
    refused = server.keys("rotate-master", "--new-master-key-command", f"{kms} key-1", check=False)
    assert refused.returncode == 1 and "stopped data folder" in refused.stderr
    server.stop()
    server.keys("rotate-master", "--new-master-key-command", f"{kms} key-1")
    with pytest.raises(NotReady, match="master key.*a command wrapped it"):
        server.start()
    del server.env["MILLRACE_MASTER_KEY_FILE"]
    server.env["MILLRACE_MASTER_KEY_COMMAND"] = f"{kms} key-1"
    server.start()
    assert played(server, "door") == before
    record(server, "porch")
    assert "master_key_command" in server.keys("rotate-master").stdout
    server.stop()
    kms.write_text("#!/bin/sh\nexit 9\n")
    with pytest.raises(NotReady, match="master key.*exit status: 9"):
        server.start()

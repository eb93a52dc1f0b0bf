"""`millrace verify`: beside a server, without keys, over damage, and mending it."""

import json

from media import clip, end, ffmpeg_push


def verify(server, *options):
    told = server.cli("verify", "--data", str(server.data), "--json", *options, check=False)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    return told.returncode, lines, told.stderr


def flip(path, at):
    contents = bytearray(path.read_bytes())
    contents[at] ^= 1
    path.write_bytes(contents)


def test_damage_is_named_and_mended(fresh):
    server = fresh()
    push = ffmpeg_push(clip(), server.rtsp_url("yard", server.device("yard")), loop=True)
    server.wait_for_fragments("yard", 2)
    code, lines, _ = verify(server)
    assert (code, lines[-1]["summary"]["damaged_places"]) == (0, 0), "beside a running server"
    assert verify(server, "--repair")[0] == 2, "a server has the folder open"
    end(push)
    assert server.stop() == 0

    code, lines, errors = verify(server, "--no-keys")
    assert (code, lines[-1]["summary"]["with_keys"]) == (0, False), errors
    segment = next((server.data / "log").glob("bulk-*/*.seg"))
    flip(segment, 4096 + 4000)
    for options in [], ["--no-keys"]:
        code, lines, _ = verify(server, *options)
        [damage] = [line for line in lines if "damaged" in line]
        assert (code, damage["damaged"]) == (1, str(segment))
        assert damage["offset"] < 4096 + 4000 < damage["offset"] + damage["bytes"]
        assert options or damage["stream"] == "yard"

    flip(server.data / "keys/table.1", 50)
    flip(segment, segment.stat().st_size - 40)
    code, lines, _ = verify(server, "--repair")
    rebuilt = {line["rebuilt"] for line in lines if "rebuilt" in line}
    assert (code, rebuilt) == (1, {str(segment), str(server.data / "keys/table.1")})
    copies = [line["copy"] for line in lines if "copy" in line]
    assert len(copies) == 3 and all(copy.endswith(".damaged") for copy in copies)
    assert verify(server)[1][-1]["summary"]["damaged_places"] == 1, "a lost frame stays lost"


def test_a_damaged_index_is_told_and_rebuilt(fresh):
    server = fresh()
    assert server.stop() == 0
    catalog = server.data / "index/catalog.sqlite"
    catalog.write_bytes(b"no database" * 1000)
    code, lines, _ = verify(server)
    [damage] = [line for line in lines if "damaged_index" in line]
    assert (code, damage["damaged_index"]) == (1, str(catalog))
    server.cli("reindex", "--data", str(server.data))
    assert verify(server)[0] == 0


def test_what_cannot_be_checked_exits_with_2(fresh, tmp_path):
    server = fresh()
    assert server.stop() == 0
    assert server.cli("verify", "--data", str(tmp_path), check=False).returncode == 2
    server.env["MILLRACE_MASTER_KEY"] = "//////////////////////////////////////////8="
    code, _, errors = verify(server)
    assert code == 2 and "master key" in errors

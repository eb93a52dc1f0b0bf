"""`millrace tail` in a terminal, and what the page shows of data streams and deliveries."""

import json
import os
import signal
import subprocess
from pathlib import Path

from chromium import browser
from destinations import bucket, wait_until
from server import BINARY

SHOTS = Path(os.environ["MILLRACE_SCREENSHOTS"]) if "MILLRACE_SCREENSHOTS" in os.environ else None


def put(server, *values: str | bytes, name: str = "orders"):
    records = [{"Data": value, "PartitionKey": f"key {n}"} for n, value in enumerate(values)]
    answer = server.client("kinesis").put_records(StreamName=name, Records=records)
    assert answer["FailedRecordCount"] == 0


def tail(server, *words: str) -> list[str]:
    """What it prints, to its end."""
    return server.cli("tail", "orders", "--data", str(server.data), *words).stdout.splitlines()


def lines_of(process, count: int) -> list[dict]:
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_a_terminal_shows_records_and_nothing_of_them_steers_it(server):
    server.client("kinesis").create_stream(StreamName="orders", ShardCount=4)
    put(server, '{"item": 12}', b"\x00\xff", "\x1b[2Jred\x9b31m\u202e")
    told = [json.loads(line) for line in tail(server, "--no-follow", "--json")]
    assert sorted(one["encoding"] for one in told) == ["base64", "text", "text"]
    assert {json.loads(one["data"])["item"] for one in told if one["data"].startswith("{")} == {12}
    printed = "\n".join(tail(server, "--no-follow", "--from", "1h"))
    assert 'key 0 {"item": 12}' in printed and "key 1 (2 bytes) 00 ff" in printed
    assert r"key 2 \u{1b}[2Jred\u{9b}31m\u{202e}" in printed and "\x1b" not in printed
    assert len(tail(server, "--limit", "2", "--from", "TRIM_HORIZON")) == 2
    assert tail(server, "--no-follow", "--from", "LATEST") == []
    for words, said in ((["bills"], "no data stream bills"), (["orders", "--from", "soon"], "from: must be")):
        refused = server.cli("tail", *words, "--data", str(server.data), check=False)
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr


def test_a_pipe_that_closes_ends_it(server):
    command = f"'{BINARY}' tail orders --from TRIM_HORIZON --data '{server.data}' | head -1; echo ${{PIPESTATUS[0]}}"
    shell = subprocess.Popen(["bash", "-c", command], env=server.env, stdout=subprocess.PIPE, text=True)
    shell.stdout.readline()
    # It finds out with the next record.
    put(server, "one more", "and one")
    assert shell.communicate(timeout=20)[0].split() == ["0"]


def test_it_goes_on_where_it_was_when_the_server_comes_back(fresh):
    server = fresh()
    server.client("kinesis").create_stream(StreamName="orders", ShardCount=2)
    put(server, *(str(n) for n in range(10)))
    command = [BINARY, "tail", "orders", "--json", "--from", "TRIM_HORIZON", "--data", str(server.data)]
    process = subprocess.Popen(command, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        seen = [one["data"] for one in lines_of(process, 10)]
        server.kill()
        server.start()
        put(server, *(str(n) for n in range(10, 20)))
        seen += [one["data"] for one in lines_of(process, 10)]
        assert sorted(seen, key=int) == [str(n) for n in range(20)]
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=10)
        assert (process.returncode, rest) == (0, "")
        assert "trying again" in told and "connected again" in told
    finally:
        process.kill()


def sign_in(page, server):
    key = server.credentials()
    page.goto(server.url() + "/")
    page.get_by_label("Access key ID").fill(key.access_key)
    page.get_by_label("Secret access key").fill(key.secret_key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def shot(page, name: str):
    if SHOTS:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png")


def test_the_page_shows_records_and_deliveries(fresh):
    # Nobody listens there.
    server = fresh(env={"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    server.client("kinesis").create_stream(StreamName="orders", ShardCount=4)
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        sign_in(page, server)
        page.get_by_role("link", name="Data streams").click()
        page.get_by_role("link", name="orders").click()
        page.get_by_text("aws kinesis put-record").wait_for()
        assert page.get_by_test_id("shards").get_by_role("button").count() == 4
        put(server, *(json.dumps({"item": n}) for n in range(20)))
        rows = page.get_by_label("Live tail").get_by_role("listitem")
        rows.nth(19).wait_for()
        page.get_by_text("aws kinesis put-record").wait_for(state="detached")
        page.get_by_label("Filter records").fill('"item": 7')
        wait_until("the filter", lambda: rows.count() == 1)
        page.get_by_role("button", name="Pause").click()
        put(server, '{"item": 7}')
        page.get_by_text("1 more came").wait_for()
        assert rows.count() == 1
        page.get_by_role("button", name="Go on").click()
        rows.nth(1).wait_for()
        page.get_by_label("Filter records").fill("")
        rows.first.click()
        shot(page, "data-stream")

        server.client("firehose").create_delivery_stream(
            DeliveryStreamName="lake", ExtendedS3DestinationConfiguration=bucket()
        )
        server.client("firehose").put_record(DeliveryStreamName="lake", Record={"Data": b"one"})
        page.get_by_role("link", name="Deliveries").click()
        card = page.get_by_role("article", name="lake")
        card.get_by_text("The destination is not reached").wait_for(timeout=60_000)
        shot(page, "deliveries")
        assert problems == [], problems

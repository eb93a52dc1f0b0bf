"""Edge configurations as boto3 sets them: a stream pulled from the camera whose URL is in a secret."""

import time

import pytest

from test_aws import refused
from test_pull import PASSWORD, camera  # noqa: F401  (a fixture)

HUB = "arn:aws:iot:us-east-1:000000000000:thing/hub"


def config(secret: str, **more) -> dict:
    media = {"MediaUriSecretArn": secret, "MediaUriType": "RTSP_URI"}
    return {"HubDeviceArn": HUB, "RecorderConfig": {"MediaSourceConfig": media, **more}}


def put_secret(server, name: str, url: str) -> str:
    put = server.request("PUT", f"/v1/secrets/{name}", {"MediaURI": url})
    assert put.status == 200, put.body
    return put.json()["arn"]


def wait_for_status(video, name: str, status: str, timeout: float = 30) -> dict:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        told = video.describe_edge_configuration(StreamName=name)
        recorder = told.get("EdgeAgentStatus", {}).get("LastRecorderStatus", {})
        if recorder.get("RecorderStatus") == status:
            return recorder
        time.sleep(0.1)
    raise AssertionError(told)


def test_an_edge_configuration_records_a_camera(fresh, camera):  # noqa: F811
    server, one = fresh(), camera()
    video = server.client()
    arn = video.create_stream(StreamName="door", DataRetentionInHours=24)["StreamARN"]
    code = "StreamEdgeConfigurationNotFoundException"
    assert refused(video.describe_edge_configuration, StreamARN=arn)[:2] == (code, 404)
    secret = put_secret(server, "door", one.url("hunter2"))
    started = video.start_edge_configuration_update(StreamName="door", EdgeConfig=config(secret))
    assert (started["SyncStatus"], started["StreamARN"]) == ("IN_SYNC", arn)
    wrong = wait_for_status(video, "door", "USER_ERROR")
    assert "password" in wrong["JobStatusDetails"]

    assert put_secret(server, "door", one.url()) == secret
    server.wait_for_fragments("door", 1)
    wait_for_status(video, "door", "SUCCESS")
    server.kill()
    server.start()
    video = server.client()
    before = len(server.fragments("door"))
    server.wait_for_fragments("door", before + 1)
    listed = video.list_edge_agent_configurations(HubDeviceArn=HUB)["EdgeConfigs"]
    assert [(entry["StreamName"], entry["EdgeConfig"]) for entry in listed] == [("door", config(secret))]

    schedule = {"ScheduleExpression": "0 0 0 1 1 ? 2020", "DurationInSeconds": 60}
    video.start_edge_configuration_update(StreamName="door", EdgeConfig=config(secret, ScheduleConfig=schedule))
    deadline = time.monotonic() + 30
    while server.get("/v1/streams/door").json()["state"] != "offline":
        assert time.monotonic() < deadline, "the schedule says that it is time for nothing"
        time.sleep(0.1)
    video.delete_edge_configuration(StreamName="door")
    assert refused(video.delete_edge_configuration, StreamName="door")[:2] == (code, 404)
    assert server.request("DELETE", "/v1/secrets/door").status == 204
    assert PASSWORD not in server.log.read_text() and "hunter2" not in server.log.read_text()
    assert server.stop() == 0


@pytest.mark.parametrize(
    "more,word",
    [
        ({"UploaderConfig": {"ScheduleConfig": {"ScheduleExpression": "0 0 12 * * ?", "DurationInSeconds": 60}}}, "UploaderConfig"),
        ({"DeletionConfig": {"DeleteAfterUpload": False}}, "DeleteAfterUpload"),
        ({"DeletionConfig": {"LocalSizeConfig": {"MaxLocalMediaSizeInMB": 64, "StrategyOnFullSize": "DENY_NEW_MEDIA"}}}, "LocalSizeConfig"),
        ({"DeletionConfig": {"EdgeRetentionInHours": 2}}, "EdgeRetentionInHours"),
        ({"HubDeviceArn": "hub"}, "hubDeviceArn"),
    ],
)
def test_what_is_not_served_is_refused_by_name(server, more, word):
    video = server.client()
    if "edge-refused" not in [stream["StreamName"] for stream in video.list_streams()["StreamInfoList"]]:
        video.create_stream(StreamName="edge-refused", DataRetentionInHours=1)
    secret = put_secret(server, "edge-refused", "rtsp://192.0.2.1/x")
    wanted = {**config(secret), **more}
    told = refused(video.start_edge_configuration_update, StreamName="edge-refused", EdgeConfig=wanted)
    assert told[:2] == ("InvalidArgumentException", 400) and word in told[2]

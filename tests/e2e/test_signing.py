"""Who may call at all: signatures, skew, foreign and missing credentials."""

import datetime
from unittest import mock

import botocore.auth
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError


def test_nothing_answers_unsigned(server):
    for path in ("/v1/streams", "/v1/fragments", "/metrics", "/v1/streams/x/hls/index.m3u8", "/v1/streams/x/clip.mp4"):
        assert server.get(path, sign=False).status in (401, 403), path
    assert server.request("POST", "/listStreams", {}, sign=False).status == 403
    for path in ("/healthz", "/readyz"):
        assert server.get(path, sign=False).status == 200


def test_a_wrong_secret_and_an_unknown_key(server):
    key = server.credentials()
    for wrong in (Credentials(key.access_key, "x" * 40), Credentials("AKIAXXXXXXXXXXXXXXXX", key.secret_key)):
        answer = server.request("POST", "/listStreams", {}, credentials=wrong)
        assert answer.status == 403, answer.body
        assert "x-amzn-ErrorType" in {name.lower(): name for name in answer.headers} or any(
            name.lower() == "x-amzn-errortype" for name in answer.headers
        )


@pytest.mark.parametrize("minutes,text", [(-6, "Signature expired"), (6, "Signature not yet current")])
def test_a_skewed_clock_is_told_as_sdks_expect(server, minutes, text):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: moment.replace(tzinfo=None)):
        answer = server.request("POST", "/listStreams", {})
    assert answer.status == 403 and text in answer.body.decode(), answer.body


def test_a_changed_body_is_noticed(server):
    request = botocore.awsrequest.AWSRequest(method="POST", url=server.url() + "/listStreams", data=b"{}")
    botocore.auth.SigV4Auth(server.credentials(), "kinesisvideo", "us-east-1").add_auth(request)
    headers = dict(request.prepare().headers)
    headers.pop("Content-Length", None)
    answer = server.request("POST", "/listStreams", b'{"MaxResults": 1}', sign=False, headers=headers)
    assert answer.status == 403


def test_presigned_urls_work_until_they_expire(server):
    assert server.get(server.presigned("/v1/streams"), sign=False).status == 200
    url = server.presigned("/v1/streams").replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert server.get(url, sign=False).status == 403


def test_revoked_keys_stop_at_once(server):
    import json

    made = json.loads(server.cli("keys", "create", "--data", str(server.data), "--json").stdout)
    key = Credentials(made["access_key_id"], made["secret_access_key"])
    assert server.get("/v1/streams", credentials=key).status == 200
    server.cli("keys", "revoke", "--data", str(server.data), made["access_key_id"])
    assert server.get("/v1/streams", credentials=key).status == 403


def test_boto3_sees_the_error_names(server):
    video = server.client()
    video._request_signer._credentials = Credentials("AKIAXXXXXXXXXXXXXXXX", "y" * 40)
    with pytest.raises(ClientError) as error:
        video.list_streams()
    assert error.value.response["Error"]["Code"] in ("UnrecognizedClientException", "InvalidClientTokenId")

"""Our signatures are botocore's."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import botocore.session
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.endpoint import parse_endpoint
from artifacts.presigner import Presigner

ACCESS_KEY, SECRET_KEY, BUCKET, REGION = (
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "pipeline",
    "eu-central-1",
)


def botocore_client(endpoint: str) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


CLIENT = botocore_client("http://127.0.0.1:9000")


def ours_at_the_same_moment(theirs: str, endpoint: str, method: str, object_name: str, **options: Any) -> str:
    """botocore signs for now; the moment it took for that is in its URL."""
    date = parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0]
    now = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    presigner = Presigner(
        parse_endpoint(endpoint, secure=False),
        bucket=BUCKET,
        region=REGION,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )
    return presigner.presign(method, object_name, now=now, **options)


def same_request(ours: str, theirs: str) -> bool:
    """The order of the query is free; everything else, the signature above all, must agree."""
    a, b = urlsplit(ours), urlsplit(theirs)
    return a[:3] == b[:3] and sorted(parse_qsl(a.query)) == sorted(parse_qsl(b.query))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "https://s3.example.com", "https://s3.example.com:443", "http://minio:80"]
)
def test_a_get_is_signed_like_botocore_does_at_every_form_of_endpoint(endpoint: str) -> None:
    theirs = botocore_client(endpoint).generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "uploads/u/i.png"}, ExpiresIn=3600
    )
    ours = ours_at_the_same_moment(theirs, endpoint, "GET", "uploads/u/i.png", expires_in_seconds=3600)
    assert urlsplit(ours).query.split("X-Amz-Signature=")[1] == urlsplit(theirs).query.split("X-Amz-Signature=")[1]
    assert parse_endpoint(endpoint, secure=False).host == urlsplit(ours).netloc


@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40).filter(
        lambda name: not name.startswith("/") and ".." not in name and "." not in name.split("/")
    ),
    filename=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_a_download_is_signed_like_botocore_does_whatever_its_names(name: str, filename: str) -> None:
    theirs = CLIENT.generate_presigned_url(
        "get_object",
        Params={"Bucket": BUCKET, "Key": name, "ResponseContentDisposition": filename},
        ExpiresIn=60,
    )
    query = {"response-content-disposition": filename}
    ours = ours_at_the_same_moment(theirs, "http://127.0.0.1:9000", "GET", name, expires_in_seconds=60, query=query)
    assert same_request(ours, theirs)


def test_an_upload_is_signed_like_botocore_does_with_its_type_and_length() -> None:
    theirs = CLIENT.generate_presigned_url(
        "put_object",
        Params={"Bucket": BUCKET, "Key": "jobs/a/b/m.glb", "ContentType": "model/gltf-binary", "ContentLength": 12},
        ExpiresIn=60,
    )
    headers = {"Content-Type": "model/gltf-binary", "Content-Length": "12"}
    ours = ours_at_the_same_moment(
        theirs, "http://127.0.0.1:9000", "PUT", "jobs/a/b/m.glb", expires_in_seconds=60, headers=headers
    )
    assert same_request(ours, theirs)


def test_the_cached_key_is_made_anew_on_another_day() -> None:
    def presigner() -> Presigner:
        endpoint = parse_endpoint("s3.example.com", secure=True)
        return Presigner(endpoint, bucket=BUCKET, region=REGION, access_key=ACCESS_KEY, secret_key=SECRET_KEY)

    def sign(by: Presigner, day: int) -> str:
        return by.presign("GET", "a", now=datetime(2026, 1, day, tzinfo=UTC), expires_in_seconds=60)

    used_yesterday = presigner()
    sign(used_yesterday, 1)
    assert sign(used_yesterday, 2) == sign(presigner(), 2)

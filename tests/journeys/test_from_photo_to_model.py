"""The main job: a person uploads a photo and downloads a 3D model."""

import hashlib
import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
import trimesh
from khronos import gltf_complaints
from PIL import Image
from steps import ASSETS, Raw, over, uploaded

from devstack.api_client import ApiClient

pytestmark = pytest.mark.xdist_group("stack")


async def test_a_photo_becomes_a_closed_textured_model_that_looks_like_it(api: ApiClient, tmp_path) -> None:
    photo = (ASSETS / "coffee.jpg").read_bytes()
    object_name = await uploaded(api, photo, "image/jpeg")
    job = await api.create_job("silhouette-v1", {"image_path": object_name})
    assert (job["status"], job["progress_percent"]) == ("QUEUED", 0)
    assert job["input_params"]["texture_resolution"] == 1024, "the model's defaults are merged"

    job = await over(api, job["id"])

    assert (job["status"], job["progress_percent"], job["attempt"], job["error"]) == ("SUCCEEDED", 100, 1, None)
    assert job["created_at"] < job["started_at"] < job["completed_at"]
    content = await api.fetch(await api.download_url(job["id"]))
    (tmp_path / "model.glb").write_bytes(content)
    assert gltf_complaints(tmp_path / "model.glb") == []
    mesh = trimesh.load(io.BytesIO(content), file_type="glb", force="mesh")
    assert mesh.is_watertight
    assert mesh.volume > 0, "faces look outward"
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (1024, 1024)
    assert similarity(Image.open(io.BytesIO(photo)), texture) > 0.9


async def test_every_file_of_a_job_is_listed_with_its_true_size_and_hash(api: ApiClient) -> None:
    object_name = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": object_name, "texture_resolution": 256})
    await over(api, job["id"])

    artifacts = {artifact["kind"]: artifact for artifact in await api.artifacts(job["id"])}

    assert {"input", "model", "preview"} <= artifacts.keys()
    for kind in ("model", "preview"):
        content = await api.fetch(artifacts[kind]["url"])
        assert len(content) == artifacts[kind]["bytes"]
        assert hashlib.sha256(content).hexdigest() == artifacts[kind]["sha256"]
    preview = Image.open(io.BytesIO(await api.fetch(artifacts["preview"]["url"])))
    assert preview.size == (512, 512)


async def test_the_log_of_a_job_tells_its_whole_story_in_order(api: ApiClient) -> None:
    object_name = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": object_name, "texture_resolution": 256})
    await over(api, job["id"])

    events = await api.events(job["id"])

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [events[0]["type"], events[1]["type"], events[-1]["type"]] == ["job.queued", "job.started", "job.succeeded"]
    assert all(earlier["at"] <= later["at"] for earlier, later in pairwise(events))
    stages = events[-1]["payload"]["stage_durations_ms"]
    assert {"download", "segment", "inflate", "texture", "export", "upload"} <= stages.keys()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"this is not an image", "invalid_image"),
        ((ASSETS / "coffee-cutout.png").read_bytes()[:5000], "invalid_image"),
    ],
    ids=["text", "truncated"],
)
async def test_a_bad_image_fails_its_job_with_a_clear_code_and_the_worker_lives_on(
    api: ApiClient, content: bytes, code: str
) -> None:
    bad = await api.create_job("silhouette-v1", {"image_path": await uploaded(api, content)})
    job = await over(api, bad["id"])
    assert (job["status"], job["error"]["code"], job["error"]["retryable"], job["attempt"]) == (
        "FAILED",
        code,
        False,
        1,
    )

    good = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": good, "texture_resolution": 256})
    assert (await over(api, job["id"]))["status"] == "SUCCEEDED"


async def test_an_upload_ticket_is_for_images_only_and_a_filename_is_no_path(raw: Raw) -> None:
    status, _, problem = await raw(
        "POST", "/jobs/upload-ticket", json={"filename": "a.exe", "content_type": "application/x-msdownload"}
    )
    assert (status, problem["status"]) == (422, 422)
    status, _, ticket = await raw(
        "POST", "/jobs/upload-ticket", json={"filename": "../../etc/passwd.png", "content_type": "image/png"}
    )
    assert status == 201
    assert ".." not in ticket["object_name"]
    assert (ticket["method"], ticket["headers"]["Content-Type"]) == ("PUT", "image/png")


async def test_a_job_for_an_image_that_was_never_uploaded_is_refused(api: ApiClient, raw: Raw) -> None:
    ticket = await api.upload_ticket("a.png", "image/png")
    for object_name in (ticket["object_name"], "uploads/nobody/nothing.png", "../secrets"):
        body = {"model_id": "silhouette-v1", "input_params": {"image_path": object_name}}
        status, headers, problem = await raw("POST", "/jobs/", json=body)
        assert (status, headers["content-type"]) == (422, "application/problem+json")
        assert problem["errors"][0]["pointer"] == "/input_params/image_path"


async def test_the_browser_of_an_allowed_page_may_put_into_the_bucket(api: ApiClient, raw: Raw) -> None:
    ticket = await api.upload_ticket("a.png", "image/png")
    asked = {
        "Origin": "http://editor.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    async with raw.session.options(ticket["upload_url"], headers=asked) as response:
        assert response.headers["access-control-allow-origin"] == "http://editor.example"


def similarity(photo: Image.Image, texture: Image.Image) -> float:
    """How well the middle of the texture is found again in the photo, at whatever scale: 1 is pixel for pixel."""
    picture = np.asarray(photo.convert("L"))
    middle = np.asarray(texture.convert("L"))[300:724, 300:724]
    scales = np.linspace(0.25, 0.75, 51)
    patches = [cv2.resize(middle, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for scale in scales]
    return max(float(cv2.matchTemplate(picture, patch, cv2.TM_CCOEFF_NORMED).max()) for patch in patches)

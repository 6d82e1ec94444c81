"""A worker wants to upload what its attempt made."""

from base64 import b64encode

from artifacts.attempt_outputs import check_outputs
from artifacts.errors import attempt_lost
from artifacts.object_names import output_name
from artifacts.signed_urls import SignedUrls
from artifacts.store import Store
from contracts.artifacts_api import OutputGrant, OutputGrantRequest, OutputUpload
from contracts.ids import ObjectName
from contracts.outputs import OutputFile


async def grant_outputs(request: OutputGrantRequest, *, store: Store, urls: SignedUrls) -> OutputGrant:
    """A presigned PUT per file into the attempt's own folder, for exactly the type, size and SHA-256 that were announced.

    Raises a 409 `Problem` for an attempt that lost: after the last grant has expired, its folder is swept for good.
    """
    check_outputs(request.outputs)
    if await store.has_lost(request.job_id, request.attempt_id):
        raise attempt_lost()
    uploads = tuple(
        _upload(output, output_name(request.job_id, request.attempt_id, output), urls) for output in request.outputs
    )
    return OutputGrant(uploads=uploads, expires_in=urls.ttl_seconds)


def _upload(output: OutputFile, object_name: ObjectName, urls: SignedUrls) -> OutputUpload:
    # The store refuses bytes of another hash (S3 API Reference, "Checking object integrity"), so that a grant which is used once
    # more after the registration cannot change what was verified.
    headers = {
        "Content-Type": output.content_type,
        "Content-Length": str(output.size_bytes),
        "x-amz-checksum-sha256": b64encode(bytes.fromhex(output.sha256)).decode(),
    }
    return OutputUpload(name=output.name, url=urls.to_put(object_name, headers), headers=headers)

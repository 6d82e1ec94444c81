"""A worker wants to upload what its attempt made."""

from artifacts.attempt_outputs import check_outputs
from artifacts.object_names import output_name
from artifacts.signed_urls import SignedUrls
from contracts.artifacts_api import OutputGrant, OutputGrantRequest, OutputUpload
from contracts.ids import ObjectName
from contracts.outputs import OutputFile


def grant_outputs(request: OutputGrantRequest, *, urls: SignedUrls) -> OutputGrant:
    """A presigned PUT per file into the attempt's own folder, for exactly the type and size that were announced."""
    check_outputs(request.outputs)
    uploads = tuple(
        _upload(output, output_name(request.job_id, request.attempt_id, output.name), urls)
        for output in request.outputs
    )
    return OutputGrant(uploads=uploads, expires_in=urls.ttl_seconds)


def _upload(output: OutputFile, object_name: ObjectName, urls: SignedUrls) -> OutputUpload:
    headers = {"Content-Type": output.content_type, "Content-Length": str(output.size_bytes)}
    return OutputUpload(name=output.name, url=urls.to_put(object_name, headers), headers=headers)

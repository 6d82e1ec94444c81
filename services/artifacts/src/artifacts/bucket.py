"""The bucket, made and opened for the front ends' origins at start."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from artifacts.endpoint import Endpoint
from service_kit.backoff import growing_pauses

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_NO_CORS_API = {"NotImplemented", "MethodNotAllowed", "AccessDenied"}


@dataclass(frozen=True, slots=True)
class Bucket:
    endpoint: Endpoint
    name: str
    region: str
    access_key: str
    secret_key: str
    cors_origins: Sequence[str]
    ca_file: Path | None = None
    """Of an ``https://`` endpoint; None: the system's."""


async def prepare_bucket(bucket: Bucket) -> None:
    """Returns once the bucket exists and has its CORS rules; until the store answers, tries again, up to every 15 s."""
    for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
        try:
            await _prepare(bucket)
        except (BotoCoreError, ClientError, aiohttp.ClientError, OSError) as error:
            log.warning(
                "artifacts.bucket.not_prepared", bucket=bucket.name, error=repr(error), retry_seconds=pause_seconds
            )
            await asyncio.sleep(pause_seconds)
        else:
            log.info("artifacts.bucket.prepared", bucket=bucket.name)
            return


async def _prepare(bucket: Bucket) -> None:
    # Checksums only where asked for: stores other than AWS refuse the trailers botocore would add by itself.
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=3,
        read_timeout=10,
        retries={"total_max_attempts": 1},
    )
    session = get_session()
    async with session.create_client(
        "s3",
        endpoint_url=bucket.endpoint.url,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        verify=str(bucket.ca_file) if bucket.ca_file else None,
        config=config,
    ) as client:
        await _create(client, bucket)
        if bucket.cors_origins:
            await _allow_origins(client, bucket)


async def _create(client: Any, bucket: Bucket) -> None:
    try:
        await client.head_bucket(Bucket=bucket.name)
    except ClientError as error:
        if _code(error) not in {"404", "NoSuchBucket"}:
            raise
    else:
        return
    # us-east-1 is the one region that must not be named (S3 API Reference, CreateBucket).
    elsewhere = bucket.region != "us-east-1"
    options = {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}} if elsewhere else {}
    try:
        await client.create_bucket(Bucket=bucket.name, **options)
    except ClientError as error:
        # A replica that starts at the same moment may have been faster.
        if _code(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise


async def _allow_origins(client: Any, bucket: Bucket) -> None:
    rule = {
        "AllowedOrigins": list(bucket.cors_origins),
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    try:
        await client.put_bucket_cors(Bucket=bucket.name, CORSConfiguration={"CORSRules": [rule]})
    except ClientError as error:
        if _code(error) not in _NO_CORS_API:
            raise
        # MinIO's community edition has no bucket CORS, only its own MINIO_API_CORS_ALLOW_ORIGIN.
        log.info("artifacts.bucket_cors.skipped", bucket=bucket.name, code=_code(error))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

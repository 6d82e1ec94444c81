"""What the store answers to ListObjectsV2: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from contracts.ids import ObjectName

_PAGE_LENGTH = 1000
"""The most that S3 gives."""
_NAMESPACE = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}


@dataclass(frozen=True, slots=True)
class ListedObject:
    object_name: ObjectName
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectListing:
    """One page."""

    objects: tuple[ListedObject, ...]
    next_page: str | None
    """What to ask for the next page with; None: this is the last."""


def listing_query(prefix: str, page: str | None) -> Mapping[str, str]:
    query = {"list-type": "2", "prefix": prefix, "max-keys": str(_PAGE_LENGTH)}
    return query if page is None else query | {"continuation-token": page}


def parse_listing(body: bytes) -> ObjectListing:
    """Raises `ValueError` if the body is no listing, or one that is cut short and does not say where it goes on."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  # from our own store, over an authenticated request
    except ElementTree.ParseError as error:
        raise ValueError(f"no listing: {error}") from error
    if not root.tag.endswith("}ListBucketResult"):
        raise ValueError(f"a {root.tag} instead of a listing")
    objects = tuple(
        ListedObject(ObjectName(_text(item, "Key")), int(_text(item, "Size")))
        for item in root.iterfind("s3:Contents", _NAMESPACE)
    )
    is_cut_short = root.findtext("s3:IsTruncated", "false", _NAMESPACE) == "true"
    return ObjectListing(objects, _text(root, "NextContinuationToken") if is_cut_short else None)


def _text(element: ElementTree.Element, name: str) -> str:
    text = element.findtext(f"s3:{name}", None, _NAMESPACE)
    if not text:
        raise ValueError(f"a listing without {name}")
    return text

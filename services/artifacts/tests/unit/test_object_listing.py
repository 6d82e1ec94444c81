import pytest

from artifacts.object_listing import ListedObject, ObjectListing, listing_query, parse_listing
from contracts.ids import ObjectName

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</ListBucketResult>"""
ENTRY = "<Contents><Key>jobs/a &amp; b</Key><Size>5</Size></Contents>"


def test_a_page_says_what_is_there_and_how_to_go_on() -> None:
    body = PAGE.format(f"<IsTruncated>true</IsTruncated>{ENTRY}<NextContinuationToken>t=</NextContinuationToken>")
    listing = parse_listing(body.encode())
    assert listing == ObjectListing((ListedObject(ObjectName("jobs/a & b"), 5),), "t=")
    assert listing_query("jobs/", "t=")["continuation-token"] == "t="


def test_the_last_page_says_that_it_is_the_last() -> None:
    assert parse_listing(PAGE.format("<IsTruncated>false</IsTruncated>").encode()) == ObjectListing((), None)
    assert "continuation-token" not in listing_query("jobs/", None)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "<Error><Code>NoSuchBucket</Code></Error>",
        PAGE.format("<IsTruncated>true</IsTruncated>"),
        PAGE.format("<Contents><Size>5</Size></Contents>"),
        PAGE.format("<Contents><Key>a</Key><Size>five</Size></Contents>"),
    ],
)
def test_what_is_no_listing_is_never_taken_for_an_empty_one(body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the reason is free text
        parse_listing(body.encode())

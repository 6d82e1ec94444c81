"""How long the stream is kept is said by arguments, which stay what they are, and by policies, which go before them."""

import json
from urllib.parse import unquote, urlsplit

import pytest
from examples.analytics.tests.integration.conftest import Publisher
from examples.analytics.tests.job_stories import JobStory

from analytics.starting_point import Edge
from analytics.subscription import Subscription, open_session
from contracts.topology import ANALYTICS_EVENTS
from devstack.addresses import RabbitAddress

SEGMENT_BYTES = 2000
MESSAGES = [JobStory(number).events for number in range(60)]


async def oldest_offset(url: str) -> int:
    async with open_session(url, 1, tls=None) as session:
        subscription = Subscription(session)
        await subscription.attach(Edge.FIRST)
        oldest = await subscription.next(10)
        assert oldest is not None
        return oldest.offset


@pytest.mark.parametrize(("argument_bytes", "policy_bytes", "all_kept"), [(4000, 10**7, True), (10**7, 4000, False)])
async def test_a_policy_makes_the_stream_keep_more_or_less_than_its_arguments_say(
    rabbitmq_address: RabbitAddress,
    publisher: Publisher,
    argument_bytes: int,
    policy_bytes: int,
    all_kept: bool,
) -> None:
    assert rabbitmq_address.vhosts is not None, "needs a broker of its own, to set policies on"
    await publisher.declare(x_max_length_bytes=argument_bytes, x_stream_max_segment_size_bytes=SEGMENT_BYTES)
    policy = {
        "vhost": unquote(urlsplit(publisher.url).path.removeprefix("/")),
        "name": "keep-events",
        "pattern": f"^{ANALYTICS_EVENTS.name.replace('.', '[.]')}$",
        "apply-to": "queues",
        "definition": {"max-length-bytes": policy_bytes},
        "priority": 0,
    }
    await rabbitmq_address.vhosts.define(json.dumps({"policies": [policy]}))
    await publisher.say(*MESSAGES)
    assert (await oldest_offset(publisher.url) == 0) is all_kept

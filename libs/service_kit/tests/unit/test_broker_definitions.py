"""What RabbitMQ is given to load. That it does what it should is tried on a real one."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from contracts.permissions import SERVICES, BusUser
from contracts.topology import SHARED_QUEUES, Exchange, QueueKind
from service_kit.broker_definitions import broker_definitions

PASSWORDS = {user: f"a long password of {user}" for user in BusUser}


def test_every_exchange_is_named_for_every_user_for_on_others_any_key_is_allowed() -> None:
    on_topics = broker_definitions("/", PASSWORDS)["topic_permissions"]
    named = {(permission["user"], permission["exchange"]) for permission in on_topics}
    assert named == {(user.username, exchange.value) for user in BusUser for exchange in Exchange}


def test_every_shared_queue_is_there_and_bound_by_all_its_keys() -> None:
    definitions = broker_definitions("v", PASSWORDS)
    queues = {queue["name"] for queue in definitions["queues"]}
    bindings = {(b["source"], b["destination"], b["routing_key"]) for b in definitions["bindings"]}
    for queue in (queue for queue in SHARED_QUEUES if queue.kind is not QueueKind.STREAM):
        assert queue.name in queues
        assert {(queue.exchange.value, queue.name, key) for key in queue.binding_keys} <= bindings
    assert all(destination in queues for _, destination, _ in bindings)
    assert {
        thing["vhost"] for kind in ("queues", "bindings", "exchanges", "permissions") for thing in definitions[kind]
    } == {"v"}


def test_no_stream_is_there_for_a_node_that_has_it_may_fail_to_start() -> None:
    streams = {queue.name for queue in SHARED_QUEUES if queue.kind is QueueKind.STREAM}
    assert streams
    assert not any(stream in json.dumps(broker_definitions("/", PASSWORDS)["bindings"]) for stream in streams)
    assert not streams & {queue["name"] for queue in broker_definitions("/", PASSWORDS)["queues"]}


def test_passwords_are_hashed_as_rabbitmq_does_and_salted_anew_each_time() -> None:
    one, other = (broker_definitions("/", PASSWORDS)["users"][0] for _ in range(2))
    assert one["password_hash"] != other["password_hash"]
    raw = base64.b64decode(one["password_hash"])
    salt, digest = raw[:4], raw[4:]
    assert digest == hashlib.sha256(salt + PASSWORDS[BusUser.GATEWAY].encode()).digest()


def test_people_may_look_only_as_the_operator() -> None:
    users = broker_definitions("/", PASSWORDS)["users"]
    assert {user["name"]: user["tags"] for user in users if user["tags"]} == {"p3d-operator": ["monitoring"]}


def test_the_command_reads_passwords_from_files_and_prints_none(tmp_path: Path) -> None:
    for service in SERVICES:
        (tmp_path / f"rabbitmq_password_{service.name.lower()}").write_text(PASSWORDS[service] + "\n")
    printed = _run({"SECRETS_DIR": str(tmp_path)}).stdout
    assert not any(password in printed for password in PASSWORDS.values())
    definitions = json.loads(printed)
    assert [user["name"] for user in definitions["users"]] == [service.username for service in SERVICES]
    for permission in definitions["permissions"]:
        for kind in ("configure", "write", "read"):
            re.compile(permission[kind])


def test_the_command_names_what_is_missing_or_too_short() -> None:
    failed = _run({"RABBITMQ_PASSWORD_GATEWAY": "short"})
    assert failed.returncode == 2
    assert "RABBITMQ_PASSWORD_GATEWAY: Value should have at least 16" in failed.stderr
    assert "RABBITMQ_PASSWORD_ORCHESTRATOR: Field required" in failed.stderr
    assert "short" not in failed.stderr.replace("too short", "")


def _run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service_kit.broker_definitions"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

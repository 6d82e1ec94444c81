"""Secrets are drawn once, handed out service by service, and give way to what a person chose."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def hand_out(folder: Path, **chosen: str) -> dict[str, dict[str, str]]:
    """Who has what, after a run."""
    program = ROOT / "deploy/compose/hand_out_secrets.py"
    done = subprocess.run(
        [sys.executable, program, folder],
        env={"PATH": os.defpath, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    shares = {
        service.name: {file.name: file.read_text() for file in service.iterdir()}
        for service in folder.iterdir()
        if service.name != "kept"
    }
    assert not any(secret in done.stdout + done.stderr for secret in shares["broker"].values())
    return shares


def test_a_second_run_hands_out_the_same(tmp_path: Path) -> None:
    assert hand_out(tmp_path) == hand_out(tmp_path)


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    one, other = ({*kept.values()} for kept in (kept_in(tmp_path / "one"), kept_in(tmp_path / "other")))
    assert not one & other


def test_what_the_environment_says_wins_and_stays(tmp_path: Path) -> None:
    before = hand_out(tmp_path)["migrate"]["first_superuser_api_key"]
    chosen = hand_out(tmp_path, FIRST_SUPERUSER_API_KEY="a key of my own choosing")
    assert before != chosen["migrate"]["first_superuser_api_key"] == "a key of my own choosing"
    assert hand_out(tmp_path) == chosen


def test_a_folder_for_each_volume_that_compose_mounts(tmp_path: Path) -> None:
    mounted = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["secrets"]["volumes"]
    assert {volume.rpartition("/")[2] for volume in mounted} == {"kept", *hand_out(tmp_path)}


def test_the_two_ends_of_every_connection_have_the_same_secret(tmp_path: Path) -> None:
    has = hand_out(tmp_path, MINIO_ACCESS_KEY="me", MINIO_SECRET_KEY="a store's secret")
    assert has["gateway"]["artifacts_token"] == has["artifacts"]["gateway_token"]
    assert has["gpu-worker"]["artifacts_token"] == has["artifacts"]["worker_token"]
    assert has["artifacts"]["gateway_token"] != has["artifacts"]["worker_token"]
    assert has["minio"] == {"minio_root_user": "me", "minio_root_password": "a store's secret"}
    assert (has["artifacts"]["minio_access_key"], has["artifacts"]["minio_secret_key"]) == ("me", "a store's secret")
    for service in ("gateway", "orchestrator", "artifacts"):
        assert has["migrate"][f"{service}_database_url"] == has[service]["database_url"]
        assert f":{has['migrate'][f'database_password_{service}']}@" in has[service]["database_url"]
    for service in ("gateway", "orchestrator", "artifacts", "gpu-worker", "analytics", "operator"):
        password = has["broker"][f"rabbitmq_password_{service.replace('-', '_')}"]
        assert has[service]["rabbitmq_url"] == f"amqp://p3d-{service}:{password}@rabbitmq:5672/"


def test_what_is_handed_out_can_be_read_by_whoever_has_the_volume_and_what_is_kept_by_nobody(tmp_path: Path) -> None:
    hand_out(tmp_path)
    modes = {file.parent.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*/*")}
    assert modes.pop("kept") == 0o400
    assert set(modes.values()) == {0o444}


def kept_in(folder: Path) -> dict[str, str]:
    hand_out(folder)
    return {file.name: file.read_text() for file in (folder / "kept").iterdir()}

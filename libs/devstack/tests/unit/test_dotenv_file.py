from pathlib import Path

import pytest

from devstack.dotenv_file import common_settings, load_or_create, superuser_of
from devstack.errors import DevstackError

EXAMPLE = "FIRST_SUPERUSER_USERNAME=admin\nFIRST_SUPERUSER_PASSWORD=\nFIRST_SUPERUSER_API_KEY=\n#PORT=8000\n"


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / ".env.example").write_text(EXAMPLE)
    return folder


def test_a_new_env_file_has_secrets_of_its_own_which_only_its_owner_can_read(tmp_path: Path) -> None:
    one, other = project(tmp_path / "one"), project(tmp_path / "other")
    first, second = (superuser_of(load_or_create(root, {})) for root in (one, other))
    assert len(first.api_key) >= 32
    assert len({first.api_key, first.password, second.api_key, second.password}) == 4
    assert (one / ".env").stat().st_mode & 0o077 == 0


def test_an_existing_env_file_is_left_as_it_is(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    superuser = superuser_of(load_or_create(root, {}))
    assert superuser_of(load_or_create(root, {})) == superuser


def test_the_environment_wins_over_the_file_but_an_empty_value_does_not(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    values = load_or_create(root, {"FIRST_SUPERUSER_USERNAME": "ada", "FIRST_SUPERUSER_API_KEY": ""})
    assert values["FIRST_SUPERUSER_USERNAME"] == "ada"
    assert values["FIRST_SUPERUSER_API_KEY"]


def test_a_missing_key_is_named_together_with_what_to_do(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    (root / ".env").write_text("FIRST_SUPERUSER_USERNAME=admin\nFIRST_SUPERUSER_PASSWORD=secret\n")
    with pytest.raises(DevstackError, match=r"FIRST_SUPERUSER_API_KEY is not set: set it in \.env"):
        superuser_of(load_or_create(root, {}))


def test_services_are_given_tuning_but_no_credential_of_the_file(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    (root / ".env").write_text(
        "LEASE_TTL_SECONDS=30\nPORT=9000\nDATABASE_URL=postgresql://x\nMINIO_BUCKET=b\nGATEWAY_TOKEN=t\nSOME_SECRET=s\n"
    )
    assert common_settings(root) == {"LEASE_TTL_SECONDS": "30"}


def test_the_example_in_the_repository_makes_a_usable_superuser(tmp_path: Path) -> None:
    example = Path(__file__).parents[4] / ".env.example"
    (tmp_path / ".env.example").write_text(example.read_text())
    assert superuser_of(load_or_create(tmp_path, {})).username == "admin"

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.object_names import label_of, names_upload_of, upload_name
from contracts.ids import UserId

USER, OTHER = UserId(UUID(int=1)), UserId(UUID(int=2))


@pytest.mark.parametrize(
    ("filename", "label"),
    [
        ("chair.png", "chair.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\my chair (2).jpg", "my chair (2).jpg"),
        ("стул.png", "стул.png"),
        ("a\x00b\r\nc.png", "a_b_c.png"),
        ('x"; filename="y.html', "x_ filename_y.html"),
        ("..", "image"),
        ("/", "image"),
    ],
)
def test_a_file_name_becomes_a_harmless_label(filename: str, label: str) -> None:
    assert label_of(filename) == label


@given(st.text(max_size=400))
def test_no_file_name_makes_a_label_with_a_folder_or_a_control_character(filename: str) -> None:
    label = label_of(filename)
    assert 1 <= len(label) <= 120
    assert not set("/\\\"'\x00\r\n;") & set(label)
    assert label not in {".", ".."}


def test_an_upload_belongs_to_the_user_in_its_name() -> None:
    name = upload_name(USER, uuid4(), "image/jpeg")
    assert name.endswith(".jpg")
    assert names_upload_of(USER, name)
    assert not names_upload_of(OTHER, name)


@pytest.mark.parametrize(
    "tail", ["x.png", "../../jobs/a.png", f"{UUID(int=3)}.exe", f"{UUID(int=3)}.png\x00", f"{UUID(int=3)}.png\n", ""]
)
def test_a_name_that_no_ticket_makes_is_nobodys_upload(tail: str) -> None:
    assert not names_upload_of(USER, f"uploads/{USER}/{tail}")

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.object_names import (
    folder_of,
    is_output_of_a_loser,
    label_of,
    names_upload_of,
    output_name,
    upload_name,
)
from contracts.ids import AttemptId, JobId, UserId
from contracts.outputs import ArtifactKind, OutputFile

USER, OTHER = UserId(UUID(int=1)), UserId(UUID(int=2))
JOB = JobId(UUID(int=3))
OUTPUTS = st.builds(
    OutputFile,
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}\.[a-z0-9]{1,4}", fullmatch=True),
    kind=st.just(ArtifactKind.MODEL),
    content_type=st.just("model/gltf-binary"),
    size_bytes=st.just(1),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
ATTEMPTS = st.uuids().map(AttemptId)


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


@given(job_id=st.uuids().map(JobId), winners=st.sets(ATTEMPTS, min_size=1), output=OUTPUTS, data=st.data())
def test_no_output_of_a_winner_is_a_losers(
    job_id: JobId, winners: set[AttemptId], output: OutputFile, data: st.DataObject
) -> None:
    winner = data.draw(st.sampled_from(sorted(winners)))
    assert not is_output_of_a_loser(output_name(job_id, winner, output), job_id, winners)


@given(attempt=ATTEMPTS, winners=st.sets(ATTEMPTS), output=OUTPUTS)
def test_every_output_of_any_other_attempt_is_a_losers(
    attempt: AttemptId, winners: set[AttemptId], output: OutputFile
) -> None:
    name = output_name(JOB, attempt, output)
    assert name.startswith(folder_of(JOB))
    assert is_output_of_a_loser(name, JOB, winners - {attempt})
    # As they were named before each content had a folder.
    assert is_output_of_a_loser(f"jobs/{JOB}/{attempt}/model.glb", JOB, winners - {attempt})


@given(name=st.text(max_size=80), winners=st.sets(ATTEMPTS))
def test_what_is_not_understood_is_nobodys(name: str, winners: set[AttemptId]) -> None:
    assert not is_output_of_a_loser(name, JOB, winners)
    assert not is_output_of_a_loser(folder_of(JOB) + name, JOB, winners)
    assert not is_output_of_a_loser(f"jobs/{UUID(int=4)}/{UUID(int=5)}/model.glb", JOB, winners)


@given(attempt=ATTEMPTS, first=OUTPUTS, second=OUTPUTS)
def test_two_contents_never_share_a_name(attempt: AttemptId, first: OutputFile, second: OutputFile) -> None:
    same_content = (first.name, first.sha256) == (second.name, second.sha256)
    assert (output_name(JOB, attempt, first) == output_name(JOB, attempt, second)) is same_content

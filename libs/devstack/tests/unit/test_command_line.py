from pathlib import Path

import pytest

from devstack.__main__ import main


@pytest.mark.parametrize(
    ("name", "sentence"), [("gone.jpg", "there is no image"), ("notes.txt", "is not an image by its name")]
)
def test_a_file_that_is_no_picture_ends_the_demo_with_one_sentence_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    assert main(["--root", str(tmp_path), "demo", "--image", str(tmp_path / name)]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / ".state").exists()

from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_worker.engine_output import EngineOutput


def test_lines_are_told_one_by_one_however_they_arrive():
    told = []
    output = EngineOutput(told.append)
    for chunk in (b"fir", b"st\nsecond\n\nth", b"ird"):
        output.feed(chunk)
    assert told == ["first", "second"]
    assert output.tail == "first\nsecond\nthird"
    assert output.last_line == "third"


def test_a_progress_bar_is_lines_too():
    told = []
    EngineOutput(told.append).feed(b"10%\r20%\r30%\r\n")
    assert told == ["10%", "20%", "30%"]


def test_clear_forgets_and_does_not_glue_two_attempts_together():
    output = EngineOutput(lambda _: None)
    output.feed(b"of the first attempt")
    output.clear()
    output.feed(b"of the second\n")
    assert output.tail.strip() == "of the second"


def test_the_last_line_survives_a_clear_and_trailing_blanks():
    output = EngineOutput(lambda _: None)
    output.feed(b"CUDA driver too old\n   \n\n")
    output.clear()
    assert output.last_line == "CUDA driver too old"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300)))
def test_memory_is_bounded_whatever_is_printed(chunks):
    told = []
    output = EngineOutput(told.append, keep_bytes=200, max_line_bytes=50)
    for chunk in chunks:
        output.feed(chunk)
    assert sum(len(line) + 1 for line in output._lines) <= 200
    assert len(output._unfinished) < 50
    assert all(len(line) <= 50 for line in told)

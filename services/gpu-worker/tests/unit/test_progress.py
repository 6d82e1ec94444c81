import pytest

from contracts.states import Stage
from gpu_worker.progress import Progress, percent_of_whole


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def pass_ms(self, milliseconds):
        self.now += milliseconds / 1000


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    return Progress(clock)


@pytest.mark.parametrize(
    "stages",
    [
        [Stage.DOWNLOAD, Stage.LOAD, Stage.SEGMENT, Stage.INFLATE, Stage.TEXTURE, Stage.EXPORT, Stage.UPLOAD],
        [Stage.DOWNLOAD, Stage.LOAD, Stage.GENERATE, Stage.TEXTURE, Stage.EXPORT, Stage.UPLOAD],
        [Stage.GENERATE, Stage.UPLOAD],
    ],
)
def test_the_percentage_rises_through_every_way_an_engine_works(progress, stages):
    seen = []
    for stage in stages:
        for tenth in range(11):
            progress.report(stage, tenth / 10)
            seen.append(progress.percent)
    assert seen == sorted(seen)
    assert seen[-1] == 100


@pytest.mark.parametrize(("fraction", "percent"), [(-1.0, 10.0), (0.0, 10.0), (0.5, 42.5), (1.0, 75.0), (7.0, 75.0)])
def test_a_fraction_is_held_between_the_ends_of_its_stage(fraction, percent):
    assert percent_of_whole(Stage.GENERATE, fraction) == percent


def test_every_stage_has_a_share():
    for stage in Stage:
        assert 0 <= percent_of_whole(stage, 0) < percent_of_whole(stage, 1) <= 100


def test_an_engine_that_goes_back_does_not_take_the_percentage_along(progress):
    progress.report(Stage.TEXTURE, 0.5)
    reached = progress.percent
    progress.report(Stage.SEGMENT, 0.0)
    assert progress.percent == reached


def test_stages_are_timed_and_a_stage_entered_twice_adds_up(progress, clock):
    for stage, took_ms in [(Stage.SEGMENT, 20), (Stage.INFLATE, 30), (Stage.SEGMENT, 5)]:
        progress.enter(stage)
        clock.pass_ms(took_ms)
    progress.leave()
    assert progress.durations_ms == pytest.approx({Stage.SEGMENT: 25, Stage.INFLATE: 30})


def test_what_lies_between_two_stages_counts_for_the_later_one(progress, clock):
    progress.enter(Stage.LOAD)
    clock.pass_ms(10)
    progress.leave()
    clock.pass_ms(7)
    progress.report(Stage.GENERATE, 0.1)
    clock.pass_ms(3)
    progress.leave()
    assert progress.durations_ms == pytest.approx({Stage.LOAD: 10, Stage.GENERATE: 10})


def test_a_stage_too_short_to_be_measured_is_left_out(progress):
    progress.enter(Stage.LOAD)
    progress.leave()
    assert progress.durations_ms == {}


def test_a_stage_is_told_once_and_only_after_it_has_lasted(progress, clock):
    progress.enter(Stage.GENERATE)
    clock.pass_ms(199)
    assert progress.stage_to_tell(200) is None
    clock.pass_ms(1.01)
    assert progress.stage_to_tell(200) is Stage.GENERATE
    assert progress.stage_to_tell(200) is Stage.GENERATE  # until it was heard
    progress.stage_told(Stage.GENERATE)
    assert progress.stage_to_tell(200) is None
    progress.enter(Stage.UPLOAD)
    assert progress.stage_to_tell(200) is None


def test_progress_is_told_at_most_once_an_interval_and_only_when_it_is_news(progress, clock):
    progress.report(Stage.GENERATE, 0.2)
    assert progress.percent_to_tell(500) is None
    clock.pass_ms(501)
    assert progress.percent_to_tell(500) == (Stage.GENERATE, 23.0)
    progress.report(Stage.GENERATE, 0.4)
    clock.pass_ms(499)
    assert progress.percent_to_tell(500) is None
    clock.pass_ms(2)
    assert progress.percent_to_tell(500) == (Stage.GENERATE, 36.0)
    clock.pass_ms(5000)
    assert progress.percent_to_tell(500) is None


def test_nothing_is_told_once_the_last_stage_is_over(progress, clock):
    progress.report(Stage.GENERATE, 0.5)
    clock.pass_ms(1000)
    progress.leave()
    assert progress.stage_to_tell(0) is None
    assert progress.percent_to_tell(0) is None

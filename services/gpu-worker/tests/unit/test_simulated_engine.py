"""The parts of simulated-v1 that end well; how it fails, crashes and hangs is seen from outside, in test_engine_process."""

import time

import pytest
import trimesh

from contracts.states import Stage
from gpu_worker.engines.minimal_glb import BARE_BYTES
from gpu_worker.engines.simulated import SimulatedEngine


def ignore(_stage, _fraction):
    pass


@pytest.mark.parametrize(
    ("asked", "made"), [(1, BARE_BYTES), (BARE_BYTES + 1, BARE_BYTES + 4), (5_000, 5_000), (3_000_001, 3_000_004)]
)
def test_the_model_has_the_size_that_was_asked_for_and_is_valid(new_request, gltf_complaints, asked, made):
    result = SimulatedEngine().generate(new_request(duration_seconds=0, output_bytes=asked), ignore)
    (model,) = result.outputs
    assert model.path.stat().st_size == made
    assert gltf_complaints(model.path) == []


def test_the_model_is_a_closed_solid(new_request):
    result = SimulatedEngine().generate(new_request(duration_seconds=0), ignore)
    mesh = trimesh.load_mesh(result.outputs[0].path)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert len(mesh.faces) == result.facts["triangles"]


def test_no_bytes_means_no_file(new_request):
    request = new_request(duration_seconds=0, output_bytes=0)
    assert SimulatedEngine().generate(request, ignore).outputs == ()
    assert list(request.output_dir.iterdir()) == []


def test_the_same_parameters_give_the_same_bytes(new_request):
    def made() -> bytes:
        return SimulatedEngine().generate(new_request(duration_seconds=0), ignore).outputs[0].path.read_bytes()

    assert made() == made()


def test_it_takes_the_time_it_was_told_and_reports_each_step(new_request):
    seen = []
    started = time.monotonic()
    SimulatedEngine().generate(
        new_request(duration_seconds=0.08, steps=4), lambda *step: seen.append((*step, time.monotonic() - started))
    )
    assert [(stage, fraction) for stage, fraction, _ in seen] == [(Stage.GENERATE, n / 4) for n in (1, 2, 3, 4)]
    for _, fraction, elapsed in seen:
        assert elapsed >= 0.08 * fraction

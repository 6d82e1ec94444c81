import hashlib

import pytest

from contracts.failures import FailureCode
from contracts.outputs import ArtifactKind
from gpu_worker.describe_outputs import describe_outputs
from gpu_worker.engines.base import Output
from gpu_worker.failures import AttemptError
from gpu_worker.work_folders import WorkFolder


@pytest.fixture
def folder(tmp_path):
    folder = WorkFolder(tmp_path)
    folder.outputs.mkdir()
    return folder


def made(folder, name, content=b"content"):
    path = folder.outputs / str(len(list(folder.outputs.iterdir())))
    path.write_bytes(content)
    return Output(name, "model", "model/gltf-binary", path)


@pytest.mark.parametrize("size", [0, 10, 300_000])
async def test_every_file_is_measured(folder, size):
    output = made(folder, "model.glb", bytes(size))
    [(file, path)] = (await describe_outputs([output], "", folder)).items()
    assert (file.name, file.size_bytes, path) == ("model.glb", size, output.path)
    assert file.sha256 == hashlib.sha256(bytes(size)).hexdigest()


async def test_what_the_engine_printed_becomes_a_file_of_its_own(folder):
    files = await describe_outputs([made(folder, "model.glb")], "loading\nlone \ud800 surrogate", folder)
    log = next(file for file in files if file.name == "engine.log")
    assert log.kind is ArtifactKind.LOG
    assert files[log].read_text() == "loading\nlone ? surrogate"


async def test_a_silent_engine_has_no_log(folder):
    assert await describe_outputs([], " \n", folder) == {}


@pytest.mark.parametrize(
    "names", [["../model.glb"], ["Model.glb"], ["a.glb", "a.glb"], [f"{n}.glb" for n in range(16)]]
)
async def test_files_that_cannot_be_stored_are_the_engines_failure(folder, names):
    with pytest.raises(AttemptError) as caught:
        await describe_outputs([made(folder, name) for name in names], "", folder)
    assert caught.value.code is FailureCode.ENGINE_FAILED

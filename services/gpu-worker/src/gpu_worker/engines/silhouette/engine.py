"""The silhouette-v1 engine: from the photo's file to the model's, stage by stage."""

import cv2

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engines.base import EngineFailure, GenerationRequest, GenerationResult, Output, Report
from gpu_worker.engines.parameters import read_parameters
from gpu_worker.engines.silhouette.foreground import Mask, find_foreground
from gpu_worker.engines.silhouette.frame import Frame
from gpu_worker.engines.silhouette.model_file import write_model
from gpu_worker.engines.silhouette.parameters import PARAMETERS_SCHEMA
from gpu_worker.engines.silhouette.photo import Pixels, read_photo
from gpu_worker.engines.silhouette.preview import write_preview
from gpu_worker.engines.silhouette.solid import Solid, build_solid
from gpu_worker.engines.silhouette.texture import paint

_MASK_SIDE = 512
_MIN_PHOTO_SIDE = 1024
_MAX_PHOTO_SIDE = 2560


class SilhouetteEngine:
    """Deterministic: the same image and parameters give the same bytes."""

    def setup(self) -> None:
        cv2.setNumThreads(1)  # one attempt is one core: a machine's others belong to other attempts

    def generate(self, request: GenerationRequest, report: Report) -> GenerationResult:
        parameters = read_parameters(PARAMETERS_SCHEMA, request.input_params)
        if request.image is None:
            raise EngineFailure(FailureCode.INVALID_PARAMETER, "silhouette-v1 makes a model from an image; send one")
        resolution: int = parameters["texture_resolution"]

        report(Stage.SEGMENT, 0.0)
        photo = read_photo(request.image, min(max(2 * resolution, _MIN_PHOTO_SIDE), _MAX_PHOTO_SIDE))
        report(Stage.SEGMENT, 0.3)
        foreground = find_foreground(photo)
        frame = Frame.around(foreground, parameters["foreground_ratio"])
        mask = frame.mask(foreground, _MASK_SIDE)
        report(Stage.SEGMENT, 1.0)

        report(Stage.INFLATE, 0.0)
        solid = _build(
            mask, vertex_count=parameters["vertex_count"], remesh=parameters["remesh"], depth=parameters["depth"]
        )
        report(Stage.INFLATE, 1.0)

        report(Stage.TEXTURE, 0.0)
        texture = paint(frame.cut(photo.rgb, resolution), mask)
        report(Stage.TEXTURE, 1.0)

        return _export(request, solid, texture, report)


def _build(mask: Mask, *, vertex_count: int, remesh: str, depth: float) -> Solid:
    try:
        return build_solid(mask, vertex_count=vertex_count, adaptive=remesh == "triangle", depth=depth)
    except ValueError as error:
        text = "the object is too thin to be given a volume; send a photo that shows it larger or from another side"
        raise EngineFailure(FailureCode.NO_FOREGROUND, text) from error


def _export(request: GenerationRequest, solid: Solid, texture: Pixels, report: Report) -> GenerationResult:
    model, preview = request.output_dir / "model.glb", request.output_dir / "preview.png"
    report(Stage.EXPORT, 0.0)
    write_model(model, solid, texture)
    report(Stage.EXPORT, 0.4)
    write_preview(preview, solid, texture)
    report(Stage.EXPORT, 1.0)
    return GenerationResult(
        outputs=(
            Output("model.glb", "model", "model/gltf-binary", model),
            Output("preview.png", "preview", "image/png", preview),
        ),
        facts={"vertices": len(solid.vertices), "triangles": len(solid.triangles), "texture_size": texture.shape[0]},
    )

"""What silhouette-v1 takes. Plain data without imports of weight, so that a catalogue can publish it as it stands."""

from typing import Any

AUTOMATIC = -1

PARAMETERS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "texture_resolution": {
            "type": "integer",
            "minimum": 256,
            "maximum": 2048,
            "default": 1024,
            "description": "Width and height of the base-colour texture in pixels.",
        },
        "foreground_ratio": {
            "type": "number",
            "minimum": 0.5,
            "maximum": 1.0,
            "default": 0.85,
            "description": "Share of the texture's and the unit cube's side that the object's longer side fills.",
        },
        "remesh": {
            "type": "string",
            "enum": ["none", "triangle"],
            "default": "none",
            "description": "none: triangles of even size. triangle: small where the surface bends, large where it is flat.",
        },
        "vertex_count": {
            "type": "integer",
            "anyOf": [{"const": AUTOMATIC}, {"minimum": 500, "maximum": 50_000}],
            "default": AUTOMATIC,
            "description": "About how many vertices the mesh has; -1 for the engine's choice (10,000, or 4,000 with remesh).",
        },
        "depth": {
            "type": "number",
            "minimum": 0.1,
            "maximum": 2.0,
            "default": 0.8,
            "description": "How thick the object becomes: 1 makes a disc into a ball, less is flatter.",
        },
    },
}

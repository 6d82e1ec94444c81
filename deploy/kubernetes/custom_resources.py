"""What the operators' resources may look like.

Kubernetes' own resources have published schemas; those of the operators are in their CustomResourceDefinitions, half a megabyte
for a single kind. schemas/ has, for each kind that is used here, the fields that are used here, and no others: a typing error, a
field in the wrong place and a value of the wrong type are refused. With the definitions at hand – `kubectl get crd NAME -o yaml`,
or an operator's release – `check.py --crds FOLDER` holds the manifests against those instead, every field of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from overlays import FOLDER, Manifest, called, load_all

Schema = dict[str, Any]
Kind = tuple[str, str]
"""apiVersion and kind."""

_SCHEMAS = FOLDER / "schemas"
_METADATA: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 253},
        "namespace": {"const": "pipeline3d"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name", "namespace"],
    "additionalProperties": False,
}


def used_fields() -> dict[Kind, Schema]:
    """The schemas of schemas/: of `spec`, by kind."""
    documents = (yaml.safe_load(path.read_text()) for path in sorted(_SCHEMAS.glob("*.yaml")))
    return {(document["apiVersion"], document["kind"]): closed(document["spec"]) for document in documents}


def definitions(folder: Path) -> dict[Kind, Schema]:
    """The schemas of every CustomResourceDefinition in the folder's files: of `spec`, by kind."""
    found: dict[Kind, Schema] = {}
    for path in sorted(folder.glob("*.y*ml")):
        for document in load_all(path.read_text()):
            if document["kind"] == "CustomResourceDefinition":
                found |= _of_definition(document)
    return found


def _of_definition(definition: Manifest) -> dict[Kind, Schema]:
    spec = definition["spec"]
    return {
        (f"{spec['group']}/{version['name']}", spec["names"]["kind"]): closed(
            version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        )
        for version in spec["versions"]
        if version["served"]
    }


def closed(schema: Schema) -> Schema:
    """The schema, refusing fields that it does not name, as `kubectl apply` does. What OpenAPI says is made JSON Schema's."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes") and key != "description"}
    if "properties" in made:
        made["properties"] = {name: closed(field) for name, field in made["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if isinstance(items := made.get("items"), Mapping):
        made["items"] = closed(dict(items))
    if isinstance(values := made.get("additionalProperties"), Mapping):
        made["additionalProperties"] = closed(dict(values))
    return made


def complaints(manifest: Manifest, schemas: Mapping[Kind, Schema]) -> list[str]:
    """What is wrong with a custom resource, a sentence each."""
    spec = schemas.get((manifest["apiVersion"], manifest["kind"]))
    if spec is None:
        return [f"{called(manifest)}: no schema of {manifest['apiVersion']} {manifest['kind']} is known"]
    whole = {
        "type": "object",
        "properties": {"apiVersion": {}, "kind": {}, "metadata": _METADATA, "spec": spec},
        "required": ["spec"],
        "additionalProperties": False,
    }
    errors = jsonschema.Draft202012Validator(whole).iter_errors(manifest)
    return [f"{called(manifest)}: {error.json_path}: {error.message}" for error in errors]

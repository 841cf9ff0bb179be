import json
from typing import Any

from jaxnext.inference.serving.openapi import openapi
from jaxnext.version import __version__


def objects(value: Any) -> list[dict[str, Any]]:
    """All mappings within a value."""
    if isinstance(value, list):
        return [found for each in value for found in objects(each)]
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in objects(each))]
    return []


def test_the_structure_that_openapi_wants() -> None:
    found = openapi("a run", 12, 5, ("gradcam",))
    assert json.loads(json.dumps(found)) == found
    assert (found["openapi"], found["info"]) == ("3.1.0", {"title": "a run", "version": __version__})
    operations = [operation for path in found["paths"].values() for operation in path.values()]
    assert [operation["operationId"] for operation in operations] == ["predict", "health", "metrics"]
    for operation in operations:
        for status, response in operation["responses"].items():
            assert 200 <= int(status) < 600
            assert response["description"]
    for each in objects(found):
        if "$ref" in each:
            *_, name = each["$ref"].split("/")
            assert each["$ref"] == f"#/components/schemas/{name}"
            assert name in found["components"]["schemas"]
        if each.get("type") == "object":
            assert set(each["required"]) <= set(each["properties"])
        if each.get("type") == "array":
            assert "items" in each


def test_what_predict_takes() -> None:
    predict = openapi("a run", 12, 5, ("gradcam", "cbam"))["paths"]["/predict"]["post"]
    assert {each["name"]: each["schema"] for each in predict["parameters"]} == {
        "top_k": {"type": "integer", "minimum": 1, "maximum": 12, "default": 5},
        "explain": {"type": "string", "enum": ["gradcam", "cbam"]},
    }
    assert list(predict["requestBody"]["content"]) == ["multipart/form-data", "image/*"]
    assert sorted(predict["responses"]) == ["200", "403", "408", "413", "415", "421", "422", "429", "503"]
    assert len(openapi("a run", 12, 5, ())["paths"]["/predict"]["post"]["parameters"]) == 1

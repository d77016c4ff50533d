"""Cuts GitHub's own REST description down to what the stand-in serves, and writes it beside this file.

    python tests/openapi/cut.py path/to/api.github.com.json

The source is npm's `@octokit/openapi` at the version below (generated/api.github.com.json). The same source
gives the same bytes. What the stand-in serves is read from its table of routes, so that the two cannot part.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "@octokit/openapi@23.0.2"
TARGET = Path(__file__).with_name("github-subset.json.gz")
DROPPED = (
    "examples",
    "example",
    "description",
    "summary",
    "externalDocs",
    "x-github",
    "tags",
    "x-displayName",
)
METHODS = ("get", "post", "put", "patch", "delete")
REFERENCE = "#/components/"


def shape(path: str) -> str:
    """A path with its names blanked, so that {number} here and {issue_number} there are the same address."""
    return re.sub(r"\{\w+\}", "{}", path)


def served() -> set[tuple[str, str]]:
    """(method, shape) of every address in the stand-in's table."""
    from coordinator.rehearsal.hub.routes import TABLE

    return {(route.method.lower(), shape(route.template)) for route in TABLE} | {("get", "/rate_limit")}


def cut(source: dict[str, Any]) -> dict[str, Any]:
    """The description with only the served operations and the components they need."""
    wanted = served()
    paths: dict[str, Any] = {}
    for path, operations in source["paths"].items():
        kept = {name: body for name, body in operations.items() if (name, shape(path)) in wanted}
        if kept:
            paths[path] = kept
    missing = wanted - {(name, shape(path)) for path, kept in paths.items() for name in kept}
    if missing:
        raise SystemExit(f"not in the description: {sorted(missing)}")
    info = {**source["info"], "description": f"cut from {PACKAGE} by tests/openapi/cut.py"}
    whole = {"paths": paths, "components": needed_components(source, paths)}
    return {
        "openapi": source["openapi"],
        "info": info,
        "servers": [{"url": "http://stand-in.invalid"}],
        **strip(whole),
    }


def needed_components(source: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = list(references(paths))
    seen: set[str] = set()
    while waiting:
        reference = waiting.pop()
        if reference in seen:
            continue
        seen.add(reference)
        kind, name = reference.removeprefix(REFERENCE).split("/", 1)
        body = source["components"][kind][name]
        found.setdefault(kind, {})[name] = body
        waiting += references(body)
    found.pop("examples", None)
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target.startswith(REFERENCE) and "/examples/" not in target:
            yield target
        for name, value in node.items():
            if name != "examples":
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def strip(node: Any, inside_properties: bool = False) -> Any:
    """Without prose and examples; a property that happens to be called `description` stays."""
    if isinstance(node, dict):
        return {
            name: strip(value, name in ("properties", "responses", "schemas") and not inside_properties)
            for name, value in node.items()
            if inside_properties or name not in DROPPED or (name == "description" and needs_words(node))
        }
    return [strip(value) for value in node] if isinstance(node, list) else node


def needs_words(node: dict[str, Any]) -> bool:
    """OpenAPI demands a description of each response; a schema needs none."""
    return (
        not {"type", "properties", "schema", "$ref", "oneOf", "anyOf", "allOf", "operationId"} & node.keys()
    )


def packed(description: dict[str, Any]) -> bytes:
    plain = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(plain.encode(), compresslevel=9, mtime=0)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise SystemExit(f"usage: python tests/openapi/cut.py api.github.com.json   (from npm {PACKAGE})")
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    source = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    data = packed(cut(source))
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])

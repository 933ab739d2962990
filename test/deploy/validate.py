"""Checks manifests against the API's schemas, strictly: unknown fields are errors. Reads a JSON list from
standard input, prints one line for each object that is refused. The first argument is where
kubernetes-validate is installed, the second the API's version."""

import json
import sys

sys.path.insert(0, sys.argv[1])
import kubernetes_validate

for document in json.load(sys.stdin):
    name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
    try:
        kubernetes_validate.validate(document, sys.argv[2], strict=True)
    except kubernetes_validate.ValidationError as error:
        print(f"{name}: {error.message} at {'.'.join(str(part) for part in error.path)}")

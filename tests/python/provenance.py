"""Judges provenance documents with the validators of their own formats.

usage: provenance.py PROV.json BOM.json CROISSANT.json
Prints one JSON object; a document that its validator does not accept ends it.
"""

import json
import sys
from pathlib import Path

import mlcroissant
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from prov.model import ProvDerivation, ProvDocument, ProvEntity, ProvMembership


def main():
    prov, bom, croissant = (Path(name) for name in sys.argv[1:4])
    document = ProvDocument.deserialize(content=prov.read_text(), format="json")
    # A document that says nothing twice comes back the same.
    assert ProvDocument.deserialize(content=document.serialize(format="json"), format="json") == document
    assert "wasDerivedFrom" in document.get_provn()

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom.read_text())
    assert problem is None, problem
    parts = json.loads(bom.read_text())
    refs = {part["bom-ref"] for part in [parts["metadata"]["component"], *parts["components"]]}
    assert all(one["ref"] in refs and set(one["dependsOn"]) <= refs for one in parts["dependencies"])

    dataset = mlcroissant.Dataset(jsonld=str(croissant))
    assert not dataset.metadata.issues.errors, dataset.metadata.issues.errors
    records = list(dataset.records("contributions"))
    count = lambda kind: sum(1 for _ in document.get_records(kind))
    print(
        json.dumps(
            {
                "entities": count(ProvEntity),
                "derivations": count(ProvDerivation),
                "memberships": count(ProvMembership),
                "components": len(parts["components"]),
                "records": len(records),
                "rows": sum(int(record["contributions/rows"]) for record in records),
            }
        )
    )


main()

"""Reads what an exporter of traces sent, with the messages that OpenTelemetry publishes for Python.

usage: read_traces.py FOLDER
Each file of the folder is the body of one request of OTLP/HTTP. Prints one JSON object a span.
"""

import json
import pathlib
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def main():
    for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        request = ExportTraceServiceRequest()
        request.ParseFromString(file.read_bytes())
        for resource in request.resource_spans:
            service = attributes(resource.resource.attributes)["service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                said = {
                    "service": service,
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "took_ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "status": Status.StatusCode.Name(span.status.code),
                    "attributes": attributes(span.attributes),
                }
                print(json.dumps(said))


if __name__ == "__main__":
    main()

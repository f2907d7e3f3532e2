"""Renders docs/errors.md from the `ErrorReason` enums of the contracts: reasons, codes, retries and their comments."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import descriptor_pb2
from google.rpc import code_pb2

HEAD = """# Errors

Made from the contracts by `make proto`; don't edit.

Every error carries a `google.rpc.ErrorInfo` with a `reason` and a `domain`; `reason` and `domain` together are stable, texts are not.
Field errors add `BadRequest` (at most 20 violations), limits and outages add `RetryInfo`. At the HTTP edge the `http` column applies,
except on the Gophermart routes, which keep their own codes.

"Retry" says what a caller may do:

- **never**: the same request will fail again.
- **same request**: send it again, with the same `request_id`, after the `RetryInfo` delay if there is one.
- **after reread**: read the resource again, decide anew, send a new request.

gRPC itself may answer `CANCELLED`, when the caller went away, and `RESOURCE_EXHAUSTED` without a reason, when a message is larger than
1 MiB. A call that ended in CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE may have happened: repeat it with its `request_id`.
"""


def render(image: bytes) -> str:
    """Returns the page as Markdown, given a serialized `FileDescriptorSet` with source info."""
    files = descriptor_pb2.FileDescriptorSet.FromString(image).file
    return HEAD + "".join(_section(file) for file in sorted(_with_reasons(files), key=_rank))


def _with_reasons(files: object) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    return (file for file in files if file.name.endswith("/error_reason.proto"))  # type: ignore[attr-defined]


def _rank(file: descriptor_pb2.FileDescriptorProto) -> tuple[bool, str]:
    return (_domain(file) != "galen", file.name)


def _domain(file: descriptor_pb2.FileDescriptorProto) -> str:
    service = file.package.split(".")[1]
    return "galen" if service == "errors" else f"{service}.galen"


def _section(file: descriptor_pb2.FileDescriptorProto) -> str:
    comments = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
    rows = [_row(value, comments.get((5, 0, 2, index), "")) for index, value in enumerate(file.enum_type[0].value) if value.number]
    header = f"\n## `{_domain(file)}`\n\n| reason | gRPC | http | retry | when |\n|---|---|---|---|---|\n"
    return header + "".join(rows)


def _row(value: descriptor_pb2.EnumValueDescriptorProto, comment: str) -> str:
    from galen.options.v1 import error_pb2

    # Parsed again so that the option is known: the image was read before the extension was registered.
    options = descriptor_pb2.EnumValueOptions.FromString(value.options.SerializeToString())
    policy = options.Extensions[error_pb2.error]
    retry = error_pb2.Retry.Name(policy.retry).removeprefix("RETRY_").replace("_", " ").lower()
    reason = value.name.removeprefix("ERROR_REASON_")
    return f"| `{reason}` | {code_pb2.Code.Name(policy.code)} | {policy.http_status} | {retry} | {' '.join(comment.split())} |\n"

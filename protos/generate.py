"""Generates the Python code of the contracts, and what is derived from them.

    python protos/generate.py            rewrites protos/src and docs/errors.md
    python protos/generate.py --check    fails if they are not what a fresh generation gives
    python protos/generate.py --image F  writes the compiled contracts to F, for `buf`

`buf/validate/validate.proto` is not kept here: its descriptor comes from the installed `protovalidate`, and its Python module is
generated with ours, since protovalidate 2 brings none for `google.protobuf`.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path(__file__).resolve().parent
SOURCES = PROTOS / "src"
ERRORS_PAGE = PROTOS.parent / "docs" / "errors.md"
VALIDATE = "buf/validate/validate.proto"
SCRIPTS = Path(sys.executable).parent


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        image = _compile(work)
        if arguments.image:
            shutil.copyfile(image, arguments.image)
            return 0
        _write_code(work, work / "src")
        _write_errors_page(image, work / "src", work / "errors.md")
        if arguments.check:
            return _compare(work)
        shutil.rmtree(SOURCES, ignore_errors=True)
        shutil.copytree(work / "src", SOURCES)
        ERRORS_PAGE.parent.mkdir(exist_ok=True)
        shutil.copyfile(work / "errors.md", ERRORS_PAGE)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Generate the Python code of the contracts.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed instead of writing")
    parser.add_argument("--image", type=Path, help="write the compiled contracts to this file and do nothing else")
    return parser.parse_args()


def _own_files() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "galen").rglob("*.proto"))


def _protoc(work: Path, *arguments: str) -> None:
    includes = [PROTOS, resources.files("grpc_tools") / "_proto", resources.files("google.api") / ".." / ".."]
    command = ["protoc", *(f"-I{path}" for path in includes), f"--descriptor_set_in={work / 'validate.binpb'}", *arguments]
    if protoc.main(command) != 0:
        sys.exit("protoc failed")


def _compile(work: Path) -> Path:
    """Writes the descriptors of `validate.proto`, then those of everything we own with their comments; returns the latter's path."""
    image = work / "image.binpb"
    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    (work / "validate.binpb").write_bytes(descriptor_pb2.FileDescriptorSet(file=[validate, *_well_known(validate)]).SerializeToString())
    _protoc(work, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}", *_own_files())
    return image


def _well_known(validate: descriptor_pb2.FileDescriptorProto) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    from google.protobuf import descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2  # noqa: F401

    for name in validate.dependency:
        file = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
        yield file


def _write_code(work: Path, target: Path) -> None:
    target.mkdir()
    messages = [f"--python_out={target}", f"--plugin=protoc-gen-mypy={SCRIPTS / 'protoc-gen-mypy'}", f"--mypy_out=quiet:{target}"]
    services = [
        f"--grpc_python_out={target}",
        f"--plugin=protoc-gen-mypy_grpc={SCRIPTS / 'protoc-gen-mypy_grpc'}",
        f"--mypy_grpc_out=quiet:{target}",
    ]
    own = _own_files()
    _protoc(work, *messages, *own, VALIDATE)
    _protoc(work, *services, *(name for name in own if name.endswith("_service.proto")))
    for package in [target / "galen", *(path for path in (target / "galen").rglob("*") if path.is_dir())]:
        (package / "__init__.py").touch()
    (target / "galen" / "py.typed").touch()
    (target / "buf" / "validate" / "py.typed").touch()


def _write_errors_page(image: Path, code: Path, target: Path) -> None:
    sys.path.insert(0, str(code))  # the options are decoded with the code just generated, which may not be installed yet
    from errors_page import render

    target.write_text(render(image.read_bytes()))


def _compare(work: Path) -> int:
    stale = sorted(_differences(filecmp.dircmp(work / "src", SOURCES, ignore=["__pycache__"])))
    if not ERRORS_PAGE.exists() or ERRORS_PAGE.read_text() != (work / "errors.md").read_text():
        stale.append(str(ERRORS_PAGE.relative_to(PROTOS.parent)))
    if stale:
        print("not what the contracts give; run `make proto`:", *stale, sep="\n  ")
    return 1 if stale else 0


def _differences(comparison: filecmp.dircmp[str]) -> Iterator[str]:
    names = comparison.left_only + comparison.right_only + comparison.diff_files + comparison.funny_files
    yield from (str(Path(comparison.right, name).relative_to(PROTOS.parent)) for name in names if not name.endswith(".egg-info"))
    for child in comparison.subdirs.values():
        yield from _differences(child)


if __name__ == "__main__":
    sys.exit(main())

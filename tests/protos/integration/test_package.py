"""What another team gets of `pip install ./protos`: built, installed into an empty environment and used from outside the repository.

Nothing is fetched: the declared dependencies, and theirs, are copied from the environment that runs the tests; nothing else is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deploy.local.state_folder import PROJECT

DISTRIBUTION = "galen-protos"
LIMIT_S = 60
USER = """
import asyncio, importlib, pkgutil, sys
import galen, grpc

assert all(path.startswith(sys.prefix) for path in galen.__path__), galen.__path__
importlib.import_module("buf.validate.validate_pb2")
names = [module.name for module in pkgutil.walk_packages(galen.__path__, "galen.") if not module.ispkg]
modules = [importlib.import_module(name) for name in names]

async def stubs():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        return [made(channel) for module in modules for name, made in vars(module).items() if name.endswith("Stub")]

made = asyncio.run(stubs())
print(*sorted(names), *sorted(type(stub).__name__ for stub in made), sep="\\n")
"""


class Environment:
    """A virtual environment without pip; ours installs into it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        self.packages = next((folder / "lib").glob("python*/site-packages"))

    def copy(self, name: str) -> None:
        """Puts what our environment has installed under that name into this one."""
        for file in distribution(name).files or ():
            if ".." not in file.parts:
                target = self.packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(str(file.locate())), target)


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def pip(*arguments: str | Path, cwd: Path, into: Environment | None = None) -> str:
    target = ("--python", into.python) if into else ()
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", *target, *arguments, cwd=cwd)


def needed(requirements: Sequence[str]) -> Iterator[str]:
    """Yields the distributions that these requirements, and theirs, ask for on this platform."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name
            yield from needed(distribution(requirement.name).requires or ())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("package")
    # Building writes beside the sources, so it is done on a copy.
    shutil.copytree(PROJECT / "protos", folder / "protos", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip("wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "protos", cwd=folder)
    (wheel,) = folder.glob("*.whl")
    environment = Environment(folder / "environment")
    pip("install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder, into=environment)
    (metadata,) = environment.packages.glob("galen_protos-*.dist-info/METADATA")
    declared = [line.removeprefix("Requires-Dist: ") for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist: ")]
    for name in set(needed(declared)):
        environment.copy(name)
    return environment


def generated() -> set[Path]:
    source = PROJECT / "protos" / "src"
    return {file.relative_to(source) for file in source.rglob("*") if file.suffix in {".py", ".pyi"} or file.name == "py.typed"}


def test_every_module_is_importable_and_every_service_has_its_stub(installed: Environment, tmp_path: Path) -> None:
    told = run(installed.python, "-I", "-c", USER, cwd=tmp_path).split()

    modules = {".".join(file.with_suffix("").parts) for file in generated() if file.suffix == ".py" and file.name != "__init__.py"}
    stubs = {name for name in told if name.endswith("Stub")}
    assert set(told) - stubs == {name for name in modules if name.startswith("galen.")}
    assert stubs >= {"AccrualServiceStub", "AuthServiceStub", "BalanceServiceStub", "CustomerServiceStub"}
    assert len(stubs) == sum(name.endswith("service_pb2_grpc") for name in modules)


def test_type_checkers_get_their_stubs(installed: Environment) -> None:
    assert {file for file in generated() if not (installed.packages / file).is_file()} == set()


def test_the_declared_dependencies_are_all_that_is_needed_and_fit(installed: Environment, tmp_path: Path) -> None:
    assert "No broken requirements found" in pip("check", cwd=tmp_path, into=installed)

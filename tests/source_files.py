"""The files of the package, each parsed once for all the rules of `test_floor_plan` that ask about it."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
FILES = sorted((SOURCE / "counterfoil").rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What the rules ask about a file of the package."""

    lines: int
    docstring: str | None
    imports: frozenset[str]  # every module, also inside functions and for types only
    calls: frozenset[str]  # of functions by their bare names
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    functions: Mapping[str, int]  # each by its name and its first line, and how many lines follow that


@cache  # parsed once for all rules; the syntax trees themselves would take hundreds of megabytes
def read(path: Path) -> SourceFile:
    """Parse a file of the package."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imports, calls, functions = set[str](), set[str](), dict[str, int]()
    classes, texts = list[str](), list[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(value)):
                texts.append(value)
            case ast.Import():
                imports |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                assert node.level == 0, f"{path}: write imports in full"
                assert node.module is not None
                for alias in node.names:
                    imports.add(name if (name := f"{node.module}.{alias.name}") in MODULES else node.module)
            case ast.Call(func=ast.Name(id=name)):
                calls.add(name)
            case ast.ClassDef():
                classes.append(node.name)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                assert node.end_lineno is not None
                functions[f"{node.name} in line {node.lineno}"] = node.end_lineno - node.lineno
    return SourceFile(
        len(text.splitlines()),
        ast.get_docstring(tree),
        frozenset(imports),
        frozenset(calls),
        tuple(classes),
        tuple(texts),
        functions,
    )

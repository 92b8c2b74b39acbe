"""Installs the peers into the environment of the Python that runs this: NumPy, JAX with diffrax, Optimistix and JAXopt,
PyTorch for the processor, cvxpy with the solvers Clarabel and SCS, and DyNet, if it is built for this Python.

PyPI's PyTorch for Linux depends on CUDA's libraries, several gigabytes that nothing here uses; but its own libraries are
linked with them, so they do not load without. Two small ones are really called while they load and are installed; in
place of each of the others stands an empty library of its name, with the symbols that PyTorch wants of it. If PyTorch
does not start with these, everything it asks for is installed.
"""

import re
import subprocess
import sys
import sysconfig
from importlib.metadata import requires
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("purelib"))


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def read(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted_symbols(libraries):
    """What libraries want of others, from binutils: symbols with their versions, by the library that should have them."""
    symbols = {}
    for library in libraries:
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", read("readelf", "-dW", library)):
            symbols.setdefault(name, set())
        versions, file = {}, None
        for line in read("readelf", "-VW", library).splitlines():
            if found := re.search(r"File: (\S+)", line):
                file = found[1]
            elif found := re.search(r"Name: (\S+)", line):
                versions[found[1]] = file
        for symbol, version in re.findall(r" U (\w+)(?:@+(\S+))?$", read("nm", "-D", library), re.MULTILINE):
            if version in versions:
                symbols.setdefault(versions[version], set()).add((version, symbol))
            elif family := re.match(r"(cusparseLt|nccl|cufile|cuFile)[A-Z]", symbol):
                # Libraries without versions.
                for name in symbols:
                    if name.lower().startswith("lib" + family[1].lower()):
                        symbols[name].add(("", symbol))
    return symbols


def stand_ins():
    """Writes the empty libraries, into the first of the places where PyTorch looks."""
    directory = PACKAGES / "nvidia/cu13/lib"
    directory.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in [*PACKAGES.glob("nvidia/**/*.so*"), *PACKAGES.glob("torch/lib/*.so*")]}
    for name, symbols in wanted_symbols(PACKAGES.glob("torch/lib/*.so*")).items():
        if re.match(r"lib(cu|nccl|nv)", name) and name not in present:
            source = "".join(f"void *{symbol}[8];\n" for _, symbol in sorted(symbols))
            versions = {version: "".join(f"{s};" for v, s in sorted(symbols) if v == version) for version, _ in symbols}
            script = directory / f"{name}.versions"
            script.write_text("".join(f"{version} {{ {names} }};\n" for version, names in versions.items()) or "{ };")
            command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", "-x", "c", "-", "-o", directory / name]
            command += [f"-Wl,-soname,{name}", f"-Wl,--version-script,{script}"]
            subprocess.run(command, check=True, input=source, text=True)


def starts():
    check = "import torch; (torch.ones(3, 3, requires_grad=True) @ torch.ones(3)).sum().backward()"
    return subprocess.run([sys.executable, "-c", check], capture_output=True).returncode == 0


def main():
    pip("numpy", "jax", "diffrax", "optimistix", "jaxopt", "cvxpy", "clarabel", "scs")
    # What PyPI calls `dynet` is sources alone, which take long to build; this has the same, built.
    try:
        pip("--no-deps", "--only-binary", ":all:", "dyNET38")
    except subprocess.CalledProcessError:
        print("DyNet is not built for this Python, and left out", flush=True)
    pip("--no-deps", "torch")
    needed = [requirement.split(";")[0].strip() for requirement in requires("torch") if "extra ==" not in requirement]
    pip(*[name for name in needed if not re.match(r"cuda|nvidia|triton", name)])
    # CUDA's major version is in the names of what PyTorch is linked with.
    major = next(name for name in wanted_symbols(PACKAGES.glob("torch/lib/libc10_cuda.so")) if "cudart" in name).rsplit(".")[-1]
    pip("--no-deps", *[f"nvidia-{name}=={major}.*" for name in ("cuda-runtime", "cuda-cupti")])
    stand_ins()
    if not starts():
        print("PyTorch does not start without CUDA's libraries: installing them", flush=True)
        pip("--force-reinstall", "torch")


if __name__ == "__main__":
    main()

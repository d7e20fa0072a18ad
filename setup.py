"""Build of the native part; everything else about the package is in pyproject.toml.

Three kinds of objects:
- one static library per instruction set, all from the same sources (native/isa_*.c);
- the native module, which links them and picks one at import;
- one small Cython module per operation, which finds the native module at import.

Environment: FASTDL_PURE=1 builds no native code at all (Numba and NumPy run instead).
"""

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

NATIVE = Path("fastdl/_kernels/native")
MSVC_STYLE = sys.platform == "win32"

# ISO C with what vectorising needs and nothing that changes results: fused multiply-add, and no
# errno or floating-point traps. Never -ffast-math.
C_FLAGS = ["/O2", "/std:c11"] if MSVC_STYLE else [
    "-std=c11", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
    "-fvisibility=hidden", "-Werror=implicit-function-declaration"]

X86 = platform.machine().lower() in ("x86_64", "amd64")
ISA_FLAGS = {
    "baseline": (["-march=x86-64-v2"], [])[MSVC_STYLE] if X86 else [],
    **({"avx2": (["-march=x86-64-v3"], ["/arch:AVX2"])[MSVC_STYLE],
        "avx512": (["-march=x86-64-v4", "-mprefer-vector-width=512"],
                   ["/arch:AVX512"])[MSVC_STYLE]} if X86 else {}),
}

# Compiler and linker flags to try for OpenMP: GCC and Clang, Apple's Clang with libomp, MSVC.
OPENMP = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),
          (["/openmp"], [])]
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


def openmp_flags(compiler):
    """Flags that make this compiler build with OpenMP, or none, with a word about it."""
    for compile_flags, link_flags in OPENMP:
        if any(flag.startswith("/") for flag in compile_flags) != MSVC_STYLE:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE)
            try:
                objects = compiler.compile([str(source)], output_dir=folder,
                                           extra_postargs=compile_flags)
                compiler.link_executable(objects, str(Path(folder, "probe")),
                                         extra_postargs=link_flags)
            except (CompileError, LinkError):
                continue
        return compile_flags, link_flags
    print("fastdl: no OpenMP found, so the kernels will run on one thread. "
          "On macOS: brew install libomp.", file=sys.stderr)
    return [], []


class BuildLibraries(build_clib):
    """Adds the flags of OpenMP, once the compiler is known, to every library."""

    def build_libraries(self, libraries):
        compile_flags, _ = openmp_flags(self.compiler)
        for _, info in libraries:
            info["cflags"] = info["cflags"] + compile_flags
        build = super().build_libraries
        try:
            # Side by side: each instruction set is one source of half a minute.
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                list(threads.map(lambda library: build([library]), libraries))
        except CompileError as error:
            raise CompileError(f"{error}\nfastdl: the native kernels need a C compiler; "
                               "FASTDL_PURE=1 installs without them.") from error


class BuildExtensions(build_ext):
    """Links the native module with OpenMP, and only it with the libraries."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self):
        self.run_command("build_clib")          # also under build_ext --inplace
        super().run()

    def build_extension(self, extension):
        if extension.name.endswith("_native"):
            extension.extra_link_args = openmp_flags(self.compiler)[1]
            built = Path(self.get_finalized_command("build_clib").build_clib)
            extension.depends = [str(library) for library in built.glob("*fastdl_*")]
        super().build_extension(extension)


def native_library(name, sources, flags=()):
    headers = sorted(map(str, [*NATIVE.glob("*.h"), *NATIVE.glob("*.def")]))
    return (f"fastdl_{name}", {
        "sources": [str(NATIVE / source) for source in sources],
        "cflags": [*C_FLAGS, *flags],
        "obj_deps": {"": headers},
    })


def libraries():
    return [native_library("cpu", ["cpu.c", "parallel.c", "pool.c", "memory.c"]),
            *(native_library(isa, [f"isa_{isa}.c"], flags) for isa, flags in ISA_FLAGS.items())]


def extensions():
    import numpy
    from Cython.Build import cythonize

    sources = [NATIVE / "_native.pyx", *sorted(Path("fastdl/_kernels").glob("*/_cython.pyx"))]
    modules = [
        Extension(
            ".".join(source.with_suffix("").parts), [str(source)],
            include_dirs=[str(NATIVE), numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                           ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")],
            extra_compile_args=[] if MSVC_STYLE else ["-O2", "-g0", "-fvisibility=hidden"])
        for source in sources]
    return cythonize(modules, language_level=3, compiler_directives={
        "binding": True, "boundscheck": False, "wraparound": False, "cdivision": True})


if os.environ.get("FASTDL_PURE") == "1":
    setup()
else:
    setup(libraries=libraries(), ext_modules=extensions(),
          cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtensions})

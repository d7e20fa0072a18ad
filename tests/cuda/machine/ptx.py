"""PTX, NVIDIA's assembly language, as text and as what it says: `parsed` makes a `Kernel` of it.

A kernel is parameters, registers, variables in shared or local memory, and a list of instructions.
An instruction's name says all about it but its operands: `setp.lt.s32 %p1, %r2, 7;` compares two
signed numbers of 32 bits and sets a predicate. Any may be guarded: `@!%p1 bra $L__BB0_3;` jumps
where the predicate does not hold.
"""

import re
from typing import NamedTuple

SIZES = {"pred": 1, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "b32": 4, "u32": 4,
         "s32": 4, "f32": 4, "b64": 8, "u64": 8, "s64": 8, "f64": 8}
JUMPS = {"bra", "ret", "exit"}
WITHOUT_RESULT = JUMPS | {"st", "red", "bar", "barrier", "cp", "membar", "fence", "prefetch",
                          "prefetchu", "discard", "applypriority"}


class PTXError(Exception):
    """The text is not PTX, or has what this machine does not know."""


class Address(NamedTuple):
    """``[base + offset]``."""

    base: str
    offset: int


class Instruction(NamedTuple):
    """One instruction; operands are tokens, addresses, or tuples of tokens."""

    line: int                           # of the text
    guard: tuple[str, bool] | None      # a predicate, and what it must be
    name: str
    operands: tuple

    def __str__(self):
        guard = f"@{'' if self.guard[1] else '!'}{self.guard[0]} " if self.guard else ""
        return f"{guard}{self.name} {', '.join(map(_text, self.operands))}".strip()

    @property
    def opcode(self):
        return self.name.partition(".")[0]


def _text(operand):
    if isinstance(operand, Address):
        return f"[{operand.base}{f'+{operand.offset}' if operand.offset else ''}]"
    return f"{{{', '.join(operand)}}}" if isinstance(operand, tuple) else operand


class Variable(NamedTuple):
    """An array in shared or local memory; sizes are bytes."""

    name: str
    size: int
    alignment: int


class Kernel(NamedTuple):
    """What a kernel's text says."""

    name: str
    parameters: dict[str, str]          # and their types
    registers: dict[str, str]
    shared: list[Variable]
    local: list[Variable]
    code: list[Instruction]
    labels: dict[str, int]              # the instruction behind each


def parsed(text):
    """The kernel in a text."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", "", m[0]), text, flags=re.S)
    entry = re.search(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)[^{]*\{", text)
    if entry is None:
        raise PTXError("there is no .entry")
    parameters = re.findall(r"\.param\s+\.(\w+)\s+([\w$]+)", entry[2])
    kernel = Kernel(entry[1], {name: kind for kind, name in parameters}, {}, [], [], [], {})
    for variable in text[:entry.start()].split(";"):
        _declare(variable, kernel)
    line, statement = text.count("\n", 0, entry.end()) + 1, ""
    for part in re.split(r"([;\n]|[\w$]+:(?!:))", text[entry.end():]):
        if part == "\n":
            line, statement = line + 1, statement + " "
        elif part.endswith(":") and not statement.strip(" \t{}"):
            kernel.labels[part[:-1]] = len(kernel.code)
        elif part != ";":
            statement += part
        else:
            statement = statement.strip().lstrip("{} \t")
            if statement.startswith("."):
                _declare(statement, kernel)
            elif statement:
                kernel.code.append(_instruction(statement, line))
            statement = ""
    return kernel


def _declare(statement, kernel):
    if found := re.match(r"\.reg\s+\.(\w+)\s+(.*)", statement):
        for name in found[2].replace(" ", "").split(","):
            if several := re.fullmatch(r"(.*)<(\d+)>", name):
                kernel.registers.update((f"{several[1]}{i}", found[1])
                                        for i in range(int(several[2])))
            else:
                kernel.registers[name] = found[1]
    elif found := re.search(r"\.(shared|local)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$]+)"
                            r"(?:\[(\d+)\])?", statement):
        space, alignment, kind, name, count = found.groups()
        getattr(kernel, space).append(
            Variable(name, SIZES[kind] * int(count or 1), int(alignment or SIZES[kind])))


def _instruction(statement, line):
    found = re.fullmatch(r"(?:@(!?)([\w%$]+)\s+)?([\w.:]+)\s*(.*)", statement, re.S)
    if found is None:
        raise PTXError(f"line {line}: {statement}")
    negated, guard, name, operands = found.groups()
    tokens = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)
    return Instruction(line, (guard, not negated) if guard else None, name,
                       tuple(map(_operand, tokens)))


def _operand(token):
    if token[0] == "{":
        return tuple(token[1:-1].replace(",", " ").split())
    if token[0] == "[":
        base, offset = re.fullmatch(r"\[\s*([\w%$.]+)\s*(?:\+\s*(-?\w+))?\s*\]", token).groups()
        return Address(base, int(offset or "0", 0))
    return token


# ---- which registers may be read before they are written ----

def tokens(operand):
    """The registers, symbols and numbers in an operand."""
    if isinstance(operand, Address):
        return [operand.base]
    parts = operand if isinstance(operand, tuple) else operand.split("|")
    return [part.lstrip("!") for part in parts]


def reads_and_writes(instruction, registers):
    """Registers that an instruction reads, and those that it writes."""
    operands = list(instruction.operands)
    writes = [] if instruction.opcode in WITHOUT_RESULT else tokens(operands.pop(0))
    reads = [token for operand in operands for token in tokens(operand)]
    if instruction.guard:
        reads.append(instruction.guard[0])
    return ([r for r in reads if r in registers], [w for w in writes if w in registers])


def perhaps_unwritten(kernel):
    """For each instruction the registers that it reads and that some way to it does not write.

    A set is a number with a bit for each register.
    """
    bits = {name: 1 << i for i, name in enumerate(kernel.registers)}
    used = [tuple(sum({bits[r] for r in some}) for some in reads_and_writes(i, bits))
            for i in kernel.code]
    everything = (1 << len(bits)) - 1
    written = [everything] * (len(kernel.code) + 1)     # before each, on all ways
    written[0], waiting = 0, [0]
    while waiting:
        at = waiting.pop()
        while at < len(kernel.code):
            instruction, after = kernel.code[at], written[at]
            if not instruction.guard:
                after |= used[at][1]
            ways = [at + 1] if instruction.guard or instruction.opcode not in JUMPS else []
            if instruction.opcode == "bra":
                ways.append(kernel.labels[instruction.operands[0]])
            waiting += [way for way in ways[1:] if written[way] & ~after]
            for way in ways[1:]:
                written[way] &= after
            if not ways or not written[ways[0]] & ~after:
                break
            at = ways[0]
            written[at] &= after
    names = list(bits)
    return [[names[i] for i in _members(reads & ~before)]
            for (reads, _), before in zip(used, written, strict=False)]


def _members(bits):
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1

"""The SHA-256 of many texts: two at a time, by the processor's own instructions for it.

`hashlib` uses those as well, but for one text after the other, and each round waits for the one before. Numba knows no
such instructions, so this kernel is written in LLVM's language. Processors without them leave the work to `hashlib`.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import llvmlite.binding as llvm

from counterfoil.datasets.kernels.compiled import BYTE_TABLE, BYTES, INTEGERS, NOTHING, WrittenKernel

_HAS_INSTRUCTIONS: Final = platform.machine().lower() in ("x86_64", "amd64") and bool(
    llvm.get_host_cpu_features().get("sha")
)

# V is a vector of four words. A line with $ stands for two, one for each text, with variables of its own. Arguments are
# in words as `signatures` has them: three arrays, of which these are the addresses and the number of rows.
_WRITTEN: Final = """
declare V @llvm.x86.sha256msg1(V, V)
declare V @llvm.x86.sha256msg2(V, V)
declare V @llvm.x86.sha256rnds2(V, V, V)
declare V @llvm.bswap.v4i32(V)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
define i32 @"sha256._hash_blocks"(ptr %result, ptr %fault, ptr %words) "target-features"="+sha,+ssse3" {
entry:
  %text.at = getelementptr i64, ptr %words, i64 4
  %text = load ptr, ptr %text.at
  %blocks.at = getelementptr i64, ptr %words, i64 11
  %blocks = load ptr, ptr %blocks.at
  %out.at = getelementptr i64, ptr %words, i64 18
  %out = load ptr, ptr %out.at
  %rows.at = getelementptr i64, ptr %words, i64 19
  %rows = load i64, ptr %rows.at
  %last = sub i64 %rows, 1
  %some = icmp sgt i64 %rows, 0
  br i1 %some, label %pair, label %end
pair:
  %arow = phi i64 [0, %entry], [%next, %done]
  %after = add i64 %arow, 1
  %brow = call i64 @llvm.smin.i64(i64 %after, i64 %last)
  $first.at = getelementptr i32, ptr %blocks, i64 $row
  $first = load i32, ptr $first.at
  $behind.at = getelementptr i32, ptr $first.at, i64 1
  $behind = load i32, ptr $behind.at
  $size = sub i32 $behind, $first
  $count = sext i32 $size to i64
  $begin = sext i32 $first to i64
  $most = sub i64 $count, 1
  %count = call i64 @llvm.smax.i64(i64 %acount, i64 %bcount)
  br label %block
block:
  %number = phi i64 [0, %pair], [%number1, %block]
  $s0 = phi V [STATE0, %pair], [$n0, %block]
  $s1 = phi V [STATE1, %pair], [$n1, %block]
  $mine = call i64 @llvm.smin.i64(i64 %number, i64 $most)
  $place = add i64 $begin, $mine
  $block = getelementptr [64 x i8], ptr %text, i64 $place
  $on = icmp slt i64 %number, $count
ROUNDS
  $n0 = select i1 $on, V $e0, V $s0
  $n1 = select i1 $on, V $e1, V $s1
  %number1 = add i64 %number, 1
  %more = icmp slt i64 %number1, %count
  br i1 %more, label %block, label %done
done:
  $out0 = getelementptr [32 x i8], ptr %out, i64 $row
  $out1 = getelementptr V, ptr $out0, i64 1
  $x0 = shufflevector V $n0, V $n1, V <i32 3, i32 2, i32 7, i32 6>
  $x1 = shufflevector V $n0, V $n1, V <i32 1, i32 0, i32 5, i32 4>
  $y0 = call V @llvm.bswap.v4i32(V $x0)
  $y1 = call V @llvm.bswap.v4i32(V $x1)
  store V $y0, ptr $out0, align 1
  store V $y1, ptr $out1, align 1
  %next = add i64 %arow, 2
  %others = icmp slt i64 %next, %rows
  br i1 %others, label %pair, label %end
end:
  ret i32 0
}
"""


def _rounds() -> Iterator[str]:
    """Yield the lines that take a block into the state: $s0 and $s1 become $e0 and $e1."""
    constants = _bits_of_roots(64, 3)
    state = ["$s0", "$s1"]
    for number in range(16):
        mine, *before = [f"$w{number - back}" for back in range(5)]
        if number < 4:
            yield f"$p{number} = getelementptr V, ptr $block, i64 {number}"
            yield f"$l{number} = load V, ptr $p{number}, align 1"
            yield f"{mine} = call V @llvm.bswap.v4i32(V $l{number})"
        else:
            yield f"$m{number} = call V @llvm.x86.sha256msg1(V {before[3]}, V {before[2]})"
            yield f"$h{number} = shufflevector V {before[1]}, V {before[0]}, V <i32 1, i32 2, i32 3, i32 4>"
            yield f"$t{number} = add V $m{number}, $h{number}"
            yield f"{mine} = call V @llvm.x86.sha256msg2(V $t{number}, V {before[0]})"
        yield f"$k{number}.0 = add V {mine}, {_vector(constants[4 * number :][:4])}"
        yield f"$k{number}.1 = shufflevector V $k{number}.0, V poison, V <i32 2, i32 3, i32 0, i32 1>"
        for half in (0, 1):
            new = f"$r{number}.{half}"
            yield f"{new} = call V @llvm.x86.sha256rnds2(V {state[1]}, V {state[0]}, V $k{number}.{half})"
            state = [new, state[0]]
    yield from (f"$e{half} = add V {state[half]}, $s{half}" for half in (0, 1))


def _bits_of_roots(count: int, power: int) -> list[int]:
    """Return the first 32 bits behind the point of the roots of the first primes: the standard's constants."""
    primes = [number for number in range(2, 312) if all(number % other for other in range(2, number))]
    return [_root(prime << 32 * power, power) & 0xFFFFFFFF for prime in primes[:count]]


def _root(number: int, power: int) -> int:
    low, high = 0, 1 << 40
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= number else (low, middle)
    return low


def _vector(numbers: Sequence[int]) -> str:
    return f"<{', '.join(f'i32 {number}' for number in numbers)}>"


def _hash_blocks() -> str:
    first = _bits_of_roots(8, 2)
    text = _WRITTEN.replace("ROUNDS", "\n".join(_rounds()))
    for half, places in enumerate(((5, 4, 1, 0), (7, 6, 3, 2))):
        text = text.replace(f"STATE{half}", _vector([first[place] for place in places]))
    lines = ([line.replace("$", f"%{name}") for name in "ab"] if "$" in line else [line] for line in text.splitlines())
    return re.sub(r"\bV\b", "<4 x i32>", "\n".join(chain.from_iterable(lines)))


# Takes padded texts, which are whole blocks of 64 bytes; the number of the block at which each begins, and how many
# there are; and where their digests go.
hash_blocks: Final = WrittenKernel(_hash_blocks, NOTHING, (BYTES, INTEGERS, BYTE_TABLE)) if _HAS_INSTRUCTIONS else None

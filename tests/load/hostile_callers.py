"""Callers who want to bring a server down, in one process: `python hostile_callers.py '{"port": ..., ...}'`.

It is run by its path and imports nothing else. Each kind does what costs it little and the server much, begins again
when it is cut off, and does not mind how. A line on stdin ends them all; then what they were told is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

PIPELINED = b"GET /healthz HTTP/1.1\r\nHost:a\r\n\r\n" * 8_000
PAUSE_S = 0.05  # before the next try of one who was cut off

told: Counter[str] = Counter()


async def connected(given: Any, receive_bytes: int = 0) -> socket.socket:
    caller = socket.socket()
    caller.settimeout(0)
    if receive_bytes:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", given["port"]))
    return caller


async def pipeliner(given: Any) -> None:
    """Send thousands of requests in a row, and read whatever comes."""
    loop = asyncio.get_running_loop()
    with await connected(given) as caller:

        async def read() -> None:
            while await loop.sock_recv(caller, 1 << 16):
                pass

        reading = asyncio.create_task(read())
        try:
            while not reading.done():
                await loop.sock_sendall(caller, PIPELINED)
        finally:
            reading.cancel()


async def idler(given: Any) -> None:
    """Connect, and say nothing."""
    with await connected(given) as caller:
        await asyncio.get_running_loop().sock_recv(caller, 1)


async def non_reader(given: Any) -> None:
    """Ask for a page of 8 MB and read none of it; look every second whether the connection is still there."""
    loop = asyncio.get_running_loop()
    head = f"GET {given['page']} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {given['page_token']}\r\n\r\n"
    with await connected(given, 4_096) as caller:
        await loop.sock_sendall(caller, head.encode())
        while caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            await asyncio.sleep(1)
            with suppress(BlockingIOError):
                if caller.recv(13, socket.MSG_PEEK) in {b"HTTP/1.1 429 ", b"HTTP/1.1 503 ", b""}:
                    told["page refused"] += 1
                    return


async def exporter(given: Any) -> None:
    """Submit one new export after the other, whatever the answer."""
    loop, number = asyncio.get_running_loop(), 0
    with await connected(given) as caller:
        while True:
            number += 1
            body = json.dumps({"invoiceId": f"G{id(caller) % 10**6}{number}"})
            head = f"POST {given['export']} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {given['export_token']}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            await loop.sock_sendall(caller, (head + body).encode())
            answer = await loop.sock_recv(caller, 1 << 16)
            if not answer:
                return
            if answer.startswith(b"HTTP/1.1 "):  # else the rest of one
                told[f"export {answer[9:12].decode()}"] += 1


async def slow_body(given: Any) -> None:
    """Announce a body, and send a byte of it now and then."""
    loop = asyncio.get_running_loop()
    head = f"POST {given['export']} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {given['export_token']}\r\n"
    with await connected(given) as caller:
        head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        await loop.sock_sendall(caller, head.encode())
        while True:
            await asyncio.sleep(1)
            await loop.sock_sendall(caller, b" ")


async def again_and_again(kind: Callable[[Any], Awaitable[None]], given: Any) -> None:
    while True:
        with suppress(OSError):
            await kind(given)
        told[f"{kind.__name__} cut off"] += 1
        await asyncio.sleep(PAUSE_S)


async def main() -> None:
    given = json.loads(sys.argv[1])
    kinds = {pipeliner: 8, idler: 1_000, non_reader: 200, exporter: 16, slow_body: 100}
    tasks = [asyncio.create_task(again_and_again(kind, given)) for kind, count in kinds.items() for _ in range(count)]
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sys.stdout.write(json.dumps(dict(sorted(told.items()))))


asyncio.run(main())

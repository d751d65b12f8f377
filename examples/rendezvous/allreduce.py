"""Sums one vector over all ranks through rank 0, with the standard library: the shape of a data-parallel training step.

Reads MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE, like torch.distributed's env:// rendezvous.
"""

import json
import os
import socket
import time

STEPS = 3


def connect(address: tuple[str, int], seconds: float = 60) -> socket.socket:
    """Rank 0 may start later than we do: tries until it listens."""
    end = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(address, timeout=seconds)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def gradient(rank: int, step: int) -> list[int]:
    return [rank + 1, 10 * (rank + 1), step]


def lead(port: int, world: int) -> None:
    with socket.create_server(("", port)) as server:
        peers = [server.accept()[0].makefile("rw") for _ in range(world - 1)]
    for step in range(STEPS):
        parts = [gradient(0, step)] + [json.loads(peer.readline()) for peer in peers]
        total = [sum(column) for column in zip(*parts)]
        for peer in peers:
            peer.write(json.dumps(total) + "\n")
            peer.flush()
        report(0, world, step, total)


def follow(address: tuple[str, int], rank: int, world: int) -> None:
    with connect(address) as connection:
        peer = connection.makefile("rw")
        for step in range(STEPS):
            peer.write(json.dumps(gradient(rank, step)) + "\n")
            peer.flush()
            report(rank, world, step, json.loads(peer.readline()))


def report(rank: int, world: int, step: int, total: list[int]) -> None:
    ranks = world * (world + 1) // 2
    assert total == [ranks, 10 * ranks, world * step], total
    print(f"rank {rank}/{world} step {step}: all-reduce = {total}", flush=True)


def main() -> None:
    rank, world, port = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["MASTER_PORT"])
    if rank == 0:
        lead(port, world)
    else:
        follow((os.environ["MASTER_ADDR"], port), rank, world)


if __name__ == "__main__":
    main()

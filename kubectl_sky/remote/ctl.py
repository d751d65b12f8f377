"""The client's way to the agent: a line of JSON on stdin goes in, what the agent says comes out of stdout."""

import os
import sys

import wire


def main():
    line = sys.stdin.buffer.readline()
    try:
        conn = wire.connect(wire.AGENT, patience=20)
    except OSError:
        sys.exit("kubectl-sky: the task's agent does not answer")
    conn.sendall(line)
    while True:
        data = conn.recv(1 << 16)
        if not data:
            return
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()

"""Stands for `ssh` on a PATH: the real one, counted, and cut when told. Settings are files beside this one.

limit  how many bytes may pass, in one direction, before the connection is cut; it is removed then
count  gets a line at each connection's end: bytes that went in, bytes that came out
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    path = os.environ["PATH"].split(os.pathsep)
    ssh = shutil.which("ssh", path=os.pathsep.join(one for one in path if Path(one) != HERE))
    limit = HERE / "limit"
    most = int(limit.read_text()) if limit.exists() else None
    assert ssh
    process = subprocess.Popen([ssh, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    assert process.stdin and process.stdout
    os.set_blocking(1, True)  # rsync's socket
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is rsync's to hear
    counts = [0, 0]

    def pump(source: int, target: int, which: int) -> None:
        try:
            while data := os.read(source, 1 << 16):
                counts[which] += len(data)
                while data:
                    data = data[os.write(target, data) :]
                if most is not None and counts[which] > most:
                    limit.unlink(missing_ok=True)
                    os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass
        if which == 0:
            process.stdin.close()

    threads = [
        threading.Thread(target=pump, args=(0, process.stdin.fileno(), 0), daemon=True),
        threading.Thread(target=pump, args=(process.stdout.fileno(), 1, 1)),
    ]
    for thread in threads:
        thread.start()
    code = process.wait()
    threads[1].join()
    with (HERE / "count").open("a") as file:
        file.write(f"{counts[0]} {counts[1]}\n")
    os._exit(code if code >= 0 else 255)


if __name__ == "__main__":
    main()

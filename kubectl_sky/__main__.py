"""Entry point: runs a verb, prints what failed, sets the exit code."""

from __future__ import annotations

import os
import sys

from kubectl_sky import cli
from kubectl_sky.errors import EXIT_FAILURE, EXIT_INTERRUPT, EXIT_PIPE, Failure


def main() -> None:
    """`kubectl sky …`; never returns."""
    if os.name == "nt":  # elsewhere nothing is to be done, and the import takes its time
        from kubectl_sky import system

        system.begin()
    scan = cli.Scan()
    try:
        code = cli.run(sys.argv, scan)
        sys.stdout.flush()
    except Failure as failure:
        code = failure.exit_code
        report(failure)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPT
        print(file=sys.stderr)
    except BrokenPipeError:
        code = unread()
    except Exception as bug:
        code = unexpected(bug, scan)
    sys.exit(code)


def unread() -> int:
    """The reader (head, less) has had enough; a flush at exit must not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_PIPE


def unexpected(bug: Exception, scan: cli.Scan) -> int:
    """What no module has foreseen."""
    from kubectl_sky import system

    if system.reader_gone(bug):
        return unread()
    if scan.connection().verbosity >= 6:
        raise bug
    text = f"unexpected {type(bug).__name__}: {bug}"
    report(Failure(text, "this is a fault of kubectl sky: the same command with -v=6 shows where"))
    return EXIT_FAILURE


def report(failure: Failure) -> None:
    """`error: MESSAGE` and the next step, on stderr."""
    print(f"error: {failure.message}", file=sys.stderr)
    if failure.hint:
        print(failure.hint, file=sys.stderr)


if __name__ == "__main__":
    main()

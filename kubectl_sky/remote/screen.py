"""What a terminal shows, as far as it is needed to show it again: its last lines, and the modes that are on."""

import re

KEPT = 1 << 16  # bytes of text
MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")  # a program turns something on or off: mouse, cursor, full screen ...
UNFINISHED = re.compile(rb"\x1b(\[(\?[\d;]*)?)?\Z")
FULL_SCREEN = (b"47", b"1047", b"1049")
# what a terminal would answer to: it has, when it was new; a second answer would be typed into the program
QUESTION = re.compile(
    rb"\x1b\[[>=?]?[\d;]*[cn]|\x1b\[>[\d;]*q|\x1b\[\??[\d;]*\$p|\x1bP[+$]q[^\x1b]*\x1b\\|\x1b\][\d;]+;\?(\x07|\x1b\\)"
)


class Screen:
    def __init__(self):
        self.text = b""
        self.modes = {}
        self.rest = b""

    @property
    def full(self):
        """Whether a full-screen program has it: it draws all of it when it is told of another size."""
        return any(self.modes.get(mode) for mode in FULL_SCREEN)

    def feed(self, data):
        data = self.rest + data
        cut = UNFINISHED.search(data)
        end = cut.start() if cut else len(data)
        self.rest = data[end : end + 64]
        at = 0
        for found in MODE.finditer(data, 0, end):
            self._write(data[at : found.start()])
            for mode in found[1].split(b";"):
                self.modes[mode] = found[2] == b"h"
            at = found.end()
        self._write(data[at:end])

    def _write(self, text):
        if self.full:
            return
        self.text += text
        if len(self.text) > KEPT:
            self.text = self.text[-KEPT:].partition(b"\n")[2]

    def shown(self, rows=None):
        """The bytes that show it again on another terminal: its last `rows` lines, or all that is kept."""
        text = self.text if rows is None else b"\n".join(self.text.rsplit(b"\n", rows)[-rows:])
        on = b"".join(b"\x1b[?%s%s" % (mode, b"h" if on else b"l") for mode, on in self.modes.items())
        return QUESTION.sub(b"", text) + on + b"\x1b[2J" * self.full + self.rest

    def left(self):
        """The bytes that put a terminal back in order which no longer shows it."""
        return (
            b"".join(b"\x1b[?%sl" % mode for mode, on in self.modes.items() if on and mode != b"25")
            + b"\x1b[?25h\x1b[m"
        )

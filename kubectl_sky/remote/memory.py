"""What the kernel says of this container's memory (cgroup v2, v1)."""


def kills():
    """How many processes the kernel has killed for want of it."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        count = _number(path, "oom_kill")
        if count is not None:
            return count
    return 0


def limit():
    """Bytes, or 0 where none is set."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        found = _number(path)
        if found is not None and found < 1 << 60:
            return found
    return 0


def _number(path, key=None):
    try:
        with open(path) as f:
            for line in f:
                words = line.split()
                if key is None or words[0] == key:
                    return int(words[-1])
    except (OSError, ValueError, IndexError):
        pass
    return None

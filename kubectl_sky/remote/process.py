"""Starting programs natively in the task's container: its uid, environment, mounts and cgroup."""

import errno
import fcntl
import os
import pwd
import signal
import struct
import termios

import neighbours
import wire

SHELLS = ("bash", "sh", "ash", "dash")
FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# what only a shell understands: without one, a command that holds any of it cannot be run
SHELL_ONLY = set("|&;<>()$`\\*?[]#~!{}")


class NoShell(Exception):
    pass


def find(name, path=None):
    """The program called `name` on PATH, or None."""
    for folder in (path or os.environ.get("PATH") or FALLBACK_PATH).split(":"):
        file = os.path.join(folder or ".", name)
        if os.path.isfile(file) and os.access(file, os.X_OK):
            return file
    return None


def shell():
    """The best shell of the image, or None."""
    for name in SHELLS:
        file = find(name) or find(name, FALLBACK_PATH) or find(name, "/busybox")
        if file:
            return file
    return None


def login_shell():
    """The shell that the image's passwd gives to our user; else its best one; else /bin/sh, which will not be found."""
    try:
        file = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        file = ""
    refuses = os.path.basename(file) in ("nologin", "false")
    return file if os.access(file, os.X_OK) and not refuses else shell() or "/bin/sh"


def home():
    """The user's home, or a folder of the pod's own where the image has none that can be written."""
    candidates = [os.environ.get("HOME")]
    try:
        candidates.append(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        pass
    for folder in candidates:
        if folder and folder != "/" and os.path.isdir(folder) and os.access(folder, os.W_OK):
            return folder
    if os.getuid() == 0 and _makes("/root"):
        return "/root"
    folder = wire.RUN + "/home"
    os.makedirs(folder, exist_ok=True)
    return folder


def _makes(folder):
    try:
        os.makedirs(folder, exist_ok=True)
        return os.access(folder, os.W_OK)
    except OSError:
        return False


def has_name():
    """Whether the image knows our uid."""
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


def user():
    return pwd.getpwuid(os.getuid()).pw_name if has_name() else str(os.getuid())


def environment(extra):
    """The container's environment, HOME and the like, and what the caller adds."""
    env = dict(IMAGE_ENVIRONMENT)
    env.setdefault("PATH", FALLBACK_PATH)
    env.setdefault("USER", user())
    env["HOME"] = HOME
    env.update(extra)
    if os.path.isdir(neighbours.BIN):
        env["PATH"] = neighbours.BIN + ":" + env["PATH"]
    return env


def folder(image_folder):
    """Where commands start: the synced work dir, else the image's own WORKDIR, else the home."""
    synced = HOME + "/sky_workdir"
    if os.path.isdir(synced):
        return synced
    return image_folder if image_folder != "/" else HOME


def command(script, file):
    """The argv that runs `script` (shell text), which is written to `file`.

    An image without a shell can still run one plain command; anything more raises NoShell.
    """
    sh = shell()
    if sh is None:
        words = plain_words(script)
        if not words:
            raise NoShell(
                "this image has no shell, so `run` and `setup` must each be one plain command, "
                "such as `/app --flag value` (no pipes, variables or several lines)"
            )
        return words
    # the user's own start-up file, on the first line so that line numbers in messages stay true
    start = '[ -r "$HOME/.bashrc" ] && . "$HOME/.bashrc" >/dev/null 2>&1; ' if sh.endswith("bash") else ""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), "w", errors="surrogateescape") as f:
        f.write(start + script + "\n")
    return [sh, file]


def plain_words(script):
    """The words of a script that is one plain command, or None."""
    import re  # here, for the sake of the memory of all who have a shell
    import shlex

    lines = [line for line in script.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1:
        return None
    try:
        words = shlex.split(lines[0])
    except ValueError:
        return None
    # what is quoted is plain, unless a shell would still look into it
    bare = re.sub(r"\\.|'[^']*'|\"[^\"]*\"", "", lines[0])
    if not words or SHELL_ONLY & set(bare) or "=" in words[0] or re.search(r'"[^"]*[$`\\][^"]*"', lines[0]):
        return None
    return words


def spawn(argv, env, cwd, fds, tty=False, first=None):
    """Starts a program in a session of its own with `fds` as its 0, 1, 2. Returns its pid; raises OSError."""
    file = argv[0] if "/" in argv[0] else find(argv[0], env.get("PATH"))
    if file is None:
        raise FileNotFoundError(2, "not found in this image", argv[0])
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(file, [first or argv[0]] + argv[1:], env, cwd, fds, tty, w)
    os.close(w)
    failed = os.read(r, 64)
    os.close(r)
    if failed:
        code = int(failed)
        raise OSError(code, os.strerror(code), argv[0])
    return pid


def why_not(error, env):
    """Why a program could not be started with `env`, in words."""
    if error.errno != errno.E2BIG:
        return "%s: %s" % (error.filename, error.strerror)
    name = max(env, key=lambda key: len(env[key]))
    size = len(os.fsencode(env[name])) // 1024
    return "envs and secrets are too long for the kernel: %s alone has %d kB; one can have 128 kB" % (name, size)


def _child(file, argv, env, cwd, fds, tty, report):
    """The forked half of spawn: never returns."""
    try:
        os.setsid()
        # moved out of the way first: one of them may be 0, 1 or 2 itself
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, 10)
        for i, fd in enumerate(fds):
            os.dup2(fd, i)
        if tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        try:
            os.chdir(cwd)
        except OSError:
            os.chdir("/")
        os.execve(file, argv, env)
    except OSError as e:
        os.write(report, str(e.errno or 1).encode())
    finally:
        os._exit(127)


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _initial_environment():
    """As the container was started: our Python has added to its own (LC_CTYPE, for the C locale)."""
    with open("/proc/self/environ", "rb") as f:
        pairs = [item.partition(b"=") for item in f.read().split(b"\0") if item]
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


IMAGE_ENVIRONMENT = _initial_environment()
HOME = home()

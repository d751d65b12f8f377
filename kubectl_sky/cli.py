"""The command line: table of verbs, each imported only when it runs; connection flags at any place.

A verb is one word, or two ("volumes ls"): a function with typer parameters in the module that VERBS names. It finds the
`Connection` in `ctx.obj`, raises Failure when it cannot do its work, and returns its exit code (None: 0).

Where flags end: everything after `--` belongs to the command to run. For verbs with `command_after=N`, so does
everything from the word after the first N words on, unless that word is a task file (*.yaml, *.yml, -): then flags
are read to the end. So `exec NAME ls -n`: -n is for ls; `exec -n ns NAME ls`, `launch task.yaml -c x`: ours. With
`command_after=VERBATIM` all that follows the verb is for another program.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubectl_sky.api.connection import FLAGS, Connection, Flag, connection_help
from kubectl_sky.errors import UsageError
from kubectl_sky.globs import is_glob


class Verb(NamedTuple):
    """`where` is module:function, below kubectl_sky.commands; `command_after`: see above."""

    where: str
    help: str
    group: str
    command_after: int | None = None


VERBATIM = -1
RUN, LOOK, END, CHECK = "Run tasks", "Look at them", "End them", "Without a cluster"
ADMIN, STORE, JOBS = "For administrators", "Keep data", "Managed jobs, which need nobody"
VERBS: dict[str, Verb] = {
    "launch": Verb("launch:launch", "Run a task, in a new cluster or again in the one that is there", RUN, 0),
    "exec": Verb("exec:exec_", "Run more in a cluster that is up, without setup", RUN, 1),
    "dev": Verb("dev:dev", "Keep a cluster's files as they are here while you work", RUN, 1),
    "ssh": Verb("ssh:ssh", "Open a shell, or run a command, in a cluster", RUN, 1),
    "ssh-config": Verb("ssh_config:ssh_config", "Let plain ssh, and editors, reach the clusters", RUN),
    "code": Verb("code:code", "Open VS Code on a cluster", RUN),
    "cp": Verb("cp:cp", "Copy files and folders to a cluster, or from it", RUN),
    "rsync": Verb("rsync:rsync", "Run rsync with a cluster on one side", RUN, VERBATIM),
    "attach": Verb("attach:attach", "Connect this terminal to that of a running job", RUN),
    "port-forward": Verb("port_forward:port_forward", "Reach ports of a cluster from this machine", RUN),
    "status": Verb("status:status", "List clusters and how they are", LOOK),
    "explain": Verb("explain:explain", "Say why a cluster is not running; what a task's field means", LOOK),
    "gpus": Verb("gpus:gpus", "Show the GPUs of the cluster, and which are free", LOOK),
    "check": Verb("check:check", "Say whether tasks can run here, and what stands in their way", LOOK),
    "queue": Verb("queue:queue", "List the jobs of clusters that are up", LOOK),
    "cost-report": Verb("cost_report:cost_report", "Estimate what clusters have cost", LOOK),
    "logs": Verb("logs:logs", "Print the output of a job", LOOK),
    "cancel": Verb("cancel:cancel", "End jobs that wait or run", END),
    "stop": Verb("stop:stop", "End clusters' pods, and keep what start needs", END),
    "start": Verb("start:start", "Bring stopped clusters back", RUN),
    "autostop": Verb("autostop:autostop", "Say when idle clusters end by themselves", END),
    "down": Verb("down:down", "Take clusters down and all that belongs to them", END),
    "jobs launch": Verb("jobs.launch:launch", "Run a task that goes on without this machine", JOBS, 0),
    "jobs queue": Verb("jobs.queue:queue", "List managed jobs and how they are", JOBS),
    "jobs logs": Verb("jobs.logs:logs", "Print the output of a managed job", JOBS),
    "jobs cancel": Verb("jobs.cancel:cancel", "End managed jobs", JOBS),
    "gc": Verb("gc:gc", "Remove what belongs to no cluster any more", END),
    "validate": Verb("validate:validate", "Check task files; all problems at once", CHECK),
    "schema": Verb("schema:schema", "Print the JSON Schema of task files, for editors", CHECK),
    "render": Verb("render:render", "Print the manifests of a task", CHECK, 0),
    "volumes apply": Verb("volumes:apply", "Make a volume, or enlarge it", STORE),
    "volumes ls": Verb("volumes:ls", "List volumes, and who uses them", STORE),
    "volumes delete": Verb("volumes:delete", "Delete volumes, and what is in them", STORE),
    "config view": Verb("config:view", "Show the configuration, and where each value comes from", CHECK),
    "completion install": Verb("completion:install", "Let the shell complete verbs, flags and names", CHECK),
    "version": Verb("version:version", "Print the versions of client and server", CHECK),
    "label-gpus": Verb("label_gpus:label_gpus", "Label nodes with their GPUs, as SkyPilot reads them", ADMIN),
}
# started by other programs, many times: a function of (words, Connection) in the package, called without typer
FOR_PROGRAMS = {"ssh-proxy": "ssh.proxy:main"}
COMPLETE = "__complete"  # asked by the shell at each tab
ALIASES = {"show-gpus": "gpus", "volumes list": "volumes ls", "volumes rm": "volumes delete"}
ABOUT = "Run SkyPilot task files on Kubernetes, with nothing installed in the cluster."
EXAMPLES = """Examples:
  kubectl sky launch task.yaml              # run it and see its output
  kubectl sky launch --gpus A100:1 -- nvidia-smi
  kubectl sky exec my-task train.yaml       # run more on the same nodes
  kubectl sky ssh my-task
  kubectl sky down my-task"""


def run(argv: Sequence[str], given: Scan) -> int:
    """Run the command line and return the exit code. UsageError if it makes no sense."""
    if argv[1:2] == [COMPLETE]:
        from kubectl_sky import completing

        print(completing.answer(argv[2:]), end="")
        return 0
    program = program_name(argv[0])
    words = given.until_verb(list(argv[1:]))
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            words = [*words[1:], "--help"]
        else:
            print(overview(program))
            return 0
    if words[0] == "options":
        print(options(program))
        return 0
    if words[0] == "--version":
        words = ["version", "--client"]
    name, rest = find_verb(words, given)
    if name in FOR_PROGRAMS:
        module, _, function = FOR_PROGRAMS[name].partition(":")
        words = given.after_verb(rest, {}, None)
        return int(getattr(importlib.import_module(f"kubectl_sky.{module}"), function)(words, given.connection()))
    verb = VERBS.get(name)
    if verb is None and members(name) and rest == ["--help"]:
        print(overview_of(name, program))
        return 0
    if verb is None:
        raise UsageError(f"there is no verb {name!r}", suggestion(name, program))
    return invoke(verb, f"{program} {name}", rest, given)


def find_verb(words: list[str], given: Scan) -> tuple[str, list[str]]:
    """The verb's name, of one or two words, and what follows it; `--help` after the first word of two alone."""
    name = ALIASES.get(words[0], words[0])
    if not members(name):
        return name, words[1:]
    rest = given.until_verb(words[1:]) or ["--help"]
    if rest[0].startswith("-"):
        return name, ["--help"]
    both = f"{name} {rest[0]}"
    return ALIASES.get(both, both), rest[1:]


def members(name: str) -> list[str]:
    """The verbs of two words that begin with `name`."""
    return [verb for verb in VERBS if verb.startswith(f"{name} ")]


def invoke(verb: Verb, title: str, args: list[str], given: Scan) -> int:
    """Import the verb and run it with `args`; the connection flags among them go to its Connection."""
    import typer

    command = command_of(verb)
    args = given.after_verb(args, takes_value(command), verb.command_after)
    try:
        # not main(): that makes a closed pipe, Ctrl-C and Ctrl-D its own way
        with command.make_context(title, args, obj=given.connection()) as context:
            code = command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer._click.exceptions.NoSuchOption as error:
        raise given.unknown(error.option_name, takes_value(command), f"{title} --help") from None
    except typer._click.exceptions.UsageError as error:
        text = error.format_message().rstrip(".")
        raise UsageError(text[:1].lower() + text[1:], f"see: {title} --help") from None
    return code if isinstance(code, int) else 0


def command_of(verb: Verb) -> Any:
    """The verb as a click command."""
    import typer

    from kubectl_sky.command import Command

    module, _, function = verb.where.partition(":")
    found = getattr(importlib.import_module(f"kubectl_sky.commands.{module}"), function)
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})(found)
    return typer.main.get_command(app)


def takes_value(command: Any) -> dict[str, bool]:
    """The command's own options: `--cpus` -> True (a value follows), `--yes` -> False."""
    own = {"-h": False, "--help": False}
    for option in command.params:
        if option.param_type_name == "option":
            for spelling in (*option.opts, *option.secondary_opts):
                own[spelling] = not (option.is_flag or getattr(option, "count", False))
    return own


class Scan:
    """Takes the connection flags out of a command line, wherever they stand."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.flags: dict[str, Flag] = {}
        for flag in FLAGS:
            self.flags[flag.name] = flag
            if flag.short:
                self.flags[flag.short] = flag

    def connection(self) -> Connection:
        given = tuple(dict.fromkeys(self.values.get("context", ())))
        if len(given) > 1 or any(map(is_glob, given)):
            return Connection(**{**self.values, "context": None, "contexts": given})
        return Connection(**{**self.values, "context": given[0] if given else None})

    def until_verb(self, args: list[str]) -> list[str]:
        """Take the flags before the verb; returns what is from the verb (or an unknown flag) on."""
        while args and args[0].startswith("-"):
            if args[0] in ("-h", "--help", "--version"):
                return args
            word = args.pop(0)
            if not self._take(word, args):
                raise self.unknown(word, {}, "kubectl sky --help")
        return args

    def after_verb(self, args: list[str], own: Mapping[str, bool], command_after: int | None) -> list[str]:
        """Take the flags from a verb's arguments. A `--` is put in where a command begins.

        `own` are the verb's own options (they win over connection flags) and whether a value follows each.
        """
        if command_after == VERBATIM:
            return args if args in (["--help"], ["-h"]) else ["--", *args]
        kept: list[str] = []
        words = 0
        while args:
            word = args.pop(0)
            if word == "--":
                return [*kept, word, *args]
            if word == "-" or not word.startswith("-"):
                if words == command_after and not is_task_file(word):
                    return [*kept, "--", word, *args]
                words += 1
                if words - 1 == command_after:
                    command_after = None
                kept.append(word)
            elif value_follows(word, own) is not None:
                kept.append(word)
                if value_follows(word, own) and args:
                    kept.append(args.pop(0))
            elif not self._take(word, args):
                kept.append(word)
        return kept

    def unknown(self, word: str, own: Mapping[str, bool], more: str) -> UsageError:
        """What to say of a flag that is neither the verb's own nor one of the connection."""
        import difflib

        name = word.partition("=")[0]
        near = difflib.get_close_matches(name, [*own, *self.flags], n=2, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return UsageError(f"there is no flag {name} here", f"{hint}see: {more}")

    def _take(self, word: str, args: list[str]) -> bool:
        """Take `word` (and its value from `args`) if it is a connection flag."""
        name, equals, value = word.partition("=")
        flag = self.flags.get(name)
        if flag is None and not word.startswith("--"):
            # -nNAMESPACE
            flag, equals, value = self.flags.get(word[:2]), "=", word[2:].removeprefix("=")
        if flag is None:
            return False
        if flag.field == "verbosity":
            self._verbosity(name, value if equals else None, args)
        elif flag.metavar is None:
            self.values[flag.field] = value.lower() not in ("false", "0") if equals else True
        else:
            if not equals:
                if not args:
                    raise UsageError(f"{name} needs a value: {name} {flag.metavar}")
                value = args.pop(0)
            if flag.field == "colour":
                use_colour(value)
            several = flag.repeat or flag.field == "context"  # of which kubectl takes one
            self.values[flag.field] = (*self.values.get(flag.field, ()), value) if several else value
        return True

    def _verbosity(self, name: str, value: str | None, args: list[str]) -> None:
        if value is None:
            value = args.pop(0) if args and args[0].isdigit() else "1"
        if not value.isdigit():
            raise UsageError(f"{name} needs a number, e.g. -v=6")
        self.values["verbosity"] = int(value)


def use_colour(when: str) -> None:
    """--color, for this process and those that it starts, in the way that all programs understand."""
    if when not in ("auto", "always", "never"):
        raise UsageError(f"--color {when}: there is no such value", "--color takes: auto, always, never")
    if when != "auto":
        os.environ.pop("NO_COLOR", None)
        os.environ.pop("FORCE_COLOR", None)
        os.environ["FORCE_COLOR" if when == "always" else "NO_COLOR"] = "1"


def value_follows(word: str, own: Mapping[str, bool]) -> bool | None:
    """Whether the option `word` of a verb takes the next word as its value; None if it is not the verb's."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        return None if name not in own else own[name] and not equals
    if "-" + word[1:2] not in own:
        return None
    for position, letter in enumerate(word[1:], start=1):
        if own.get("-" + letter, False):
            return position == len(word) - 1
    return False


def is_task_file(word: str) -> bool:
    """Whether `word` names a task file rather than a command to run, such as 'cat task.yaml'."""
    named = word.lower().endswith((".yaml", ".yml")) and (len(word.split()) == 1 or os.path.exists(word))
    return word == "-" or named


def program_name(path: str) -> str:
    """What the usage calls us: `kubectl sky` when kubectl started us."""
    name = os.path.basename(path)
    if name.startswith(("kubectl-", "kubectl_")):
        return "kubectl sky"
    return "python -m kubectl_sky" if name == "__main__.py" else name


def suggestion(name: str, program: str) -> str:
    """Next step after a verb that does not exist."""
    import difflib

    alike = [verb for verb in VERBS if (" " in verb) == (" " in name)]
    near = difflib.get_close_matches(name, alike, n=3, cutoff=0.6) or members(name.partition(" ")[0])
    if near:
        return "did you mean " + " or ".join(f"`{program} {one}`" for one in near) + "?"
    return f"see: {program} --help"


def overview_of(name: str, program: str) -> str:
    """Help of the verbs that begin with `name`."""
    found = members(name)
    width = max(map(len, found))
    lines = [f"Usage: {program} {name} VERB [FLAGS]", "", "Verbs:"]
    lines += [f"  {verb:<{width}} {VERBS[verb].help}" for verb in found]
    return "\n".join([*lines, "", f"More of each: {program} {found[0]} --help"])


def options(program: str) -> str:
    """All flags that every verb takes, as `kubectl options` lists kubectl's."""
    lines = ["These can be given to every verb, at any place:", ""]
    lines += [f"  {left:<34} {right}" for left, right in connection_help(every=True)]
    return "\n".join([*lines, "", f"Usage: {program} [FLAGS] VERB [FLAGS]"])


def overview(program: str) -> str:
    """Help without a verb: needs no import, so it is there at once."""
    lines = [ABOUT, "", EXAMPLES.replace("kubectl sky", program)]
    for group in dict.fromkeys(verb.group for verb in VERBS.values()):
        lines += ["", f"{group}:"]
        lines += [f"  {name:<14} {verb.help}" for name, verb in VERBS.items() if verb.group == group]
    lines += ["", f"Kubernetes connection (with every verb, at any place; `{program} options` has all):"]
    lines += [f"  {left:<30} {right}" for left, right in connection_help()]
    return "\n".join([*lines, "", f"Usage: {program} VERB [FLAGS]; more of each: {program} VERB --help"])

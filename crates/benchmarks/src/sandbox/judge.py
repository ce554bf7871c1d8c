# Runs the checks against a stand-in that forwards each call to the worker, and reports under the nonce. It executes
# no line of the program under test and sees of it only plain values.
import builtins
import sys


class Ended(BaseException):
    pass


class OutOfMemory(BaseException):
    pass


class ProgramError(Exception):
    pass


class Unsupported(BaseException):
    pass


def ask(channel, value):
    try:
        request = pack(value)
    except NotPlain as error:
        raise Unsupported("the checks pass what cannot be handed over: %s" % error) from None
    try:
        send(channel, request)
        data = receive(channel)
    except (EOFError, OSError):
        raise Ended from None
    reply = unpack(data)
    if type(reply) is not tuple or not reply:
        raise ProgramError("an answer is not in the agreed form")
    if reply[0] == "value" and len(reply) == 2:
        return reply[1]
    if reply[0] == "raised" and len(reply) == 4:
        name, text, memory = reply[1:]
        if memory:
            raise OutOfMemory
        raise same_error(str(name), str(text))
    raise ProgramError("an answer is not in the agreed form")


def same_error(name, text):
    kind = getattr(builtins, name, None)
    # In the checks' own loops these two would mean that there is nothing more to check.
    if kind in (StopIteration, StopAsyncIteration):
        kind = None
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:
            pass
    return ProgramError("%s: %s" % (name, text))


def judge(channel, report):
    nonce, setup, tests, source, entry_point = unpack(read_everything(0))
    null = os.open("/dev/null", os.O_RDWR)
    for file in (0, 1, 2):
        os.dup2(null, file)

    def say(kind, text=""):
        # One line, and nothing that could move a terminal's cursor.
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        write_all(report, ("%s %s %s" % (nonce, kind, text)).encode("utf-8", "replace")[:2000] + b"\n")

    if unpack(receive(channel)) != "started":
        return
    say("started")

    def candidate(*arguments, **named):
        return ask(channel, (arguments, named))

    try:
        ask(channel, (source, entry_point))
        space = {"__name__": "checks"}
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), space)
        space[entry_point] = candidate
        exec(compile(tests, "<tests>", "exec", dont_inherit=True), space)
    except Ended:
        say("ended")
    except OutOfMemory:
        say("memory")
    except Unsupported as error:
        say("unsupported", str(error))
    except BaseException as error:
        say("failed", describe(error, tests))
    else:
        say("passed")


def describe(error, tests):
    place, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = tests.splitlines()[trace.tb_lineno - 1 : trace.tb_lineno]
            place = " at `%s`" % line[0].strip()[:300] if line else ""
        trace = trace.tb_next
    return ("%s%s %s" % (type(error).__name__, place, str(error)[:500])).strip()


def read_everything(file):
    parts = []
    while part := os.read(file, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def start():
    global opaque_crosses
    opaque_crosses = False
    limit(sys.argv[1:])
    channel, report = os.dup(1), os.dup(2)
    judge(channel, report)


start()

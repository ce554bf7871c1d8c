# Runs the program under test and answers calls. It holds nothing worth stealing: neither the checks nor the nonce.
import sys


def work(channel):
    reserve = bytearray(1 << 20)
    source, entry_point = unpack(receive(channel))
    program = type(sys)("program")
    sys.modules["program"] = program

    def answer(reply, *arguments, **named):
        nonlocal reserve
        try:
            try:
                value = reply(*arguments, **named)
                data = pack(("value", value))
            except BaseException as error:
                reserve = None
                data = pack(("raised", name_of(error), text_of(error), isinstance(error, MemoryError)))
                del error
                value = None
            send(channel, data)
        except NotPlain as error:
            send(channel, pack(("raised", "NotPlain", text_of(error), False)))
        reserve = bytearray(1 << 20)

    def load():
        exec(compile(source, "<program>", "exec", dont_inherit=True), program.__dict__)
        if not callable(program.__dict__.get(entry_point)):
            raise NameError("the program defines no function " + entry_point)

    answer(load)
    while True:
        arguments, named = unpack(receive(channel))
        answer(program.__dict__.get(entry_point), *arguments, **named)


def name_of(error):
    return str.__str__(type(error).__name__)[:100]


def text_of(error):
    try:
        return str.__str__(str(error))[:500]
    except BaseException:
        return ""


def start():
    channel = os.dup(0)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    limit(sys.argv[1:])
    sys.argv = ["program"]
    send(channel, pack("started"))
    try:
        work(channel)
    except EOFError:
        pass


start()

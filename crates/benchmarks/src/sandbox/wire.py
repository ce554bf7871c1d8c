# Plain values as bytes, for two interpreters that do not trust each other. Reading builds only built-in types and
# runs no code of the sender; whatever is not plain arrives as an object that equals nothing but itself.
import os

DEPTH = 100
ITEMS = 1_000_000
FRAME = 16 << 20
ITERATOR = 100_000

# Whether an object that is not plain crosses as its type's name; the checks must not hand one over.
opaque_crosses = True


class NotPlain(BaseException):
    pass


def encode(value, out, depth=0):
    if depth > DEPTH or len(out) > ITEMS:
        raise NotPlain("a value is nested too deeply or has too many parts")
    if value is None:
        out.append(b"N\n")
    elif isinstance(value, bool):
        out.append(b"T\n" if value else b"F\n")
    elif isinstance(value, int):
        out.append(b"i%s\n" % format(int(value), "x").encode())
    elif isinstance(value, float):
        out.append(b"d%s\n" % float(value).hex().encode())
    elif isinstance(value, complex):
        out.append(b"c\n")
        encode(value.real, out, depth + 1)
        encode(value.imag, out, depth + 1)
    elif isinstance(value, str):
        text = str.encode(value, "utf-8", "surrogatepass")
        out.append(b"s%d\n" % len(text) + text)
    elif isinstance(value, (bytes, bytearray)):
        out.append(b"b%d\n" % len(value) + bytes(value))
    elif isinstance(value, range):
        out.append(b"r\n")
        for part in (value.start, value.stop, value.step):
            encode(part, out, depth + 1)
    elif isinstance(value, dict):
        pairs = list(value.items())
        out.append(b"m%d\n" % len(pairs))
        for key, item in pairs:
            encode(key, out, depth + 1)
            encode(item, out, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        tag = b"l" if isinstance(value, list) else b"t" if isinstance(value, tuple) else b"e"
        encode_items(b"z" if isinstance(value, frozenset) else tag, list(value), out, depth)
    elif hasattr(type(value), "__next__"):
        items = []
        for item in value:
            items.append(item)
            if len(items) > ITERATOR:
                raise NotPlain("an iterator has more than %d items" % ITERATOR)
        encode_items(b"I", items, out, depth)
    elif not opaque_crosses:
        raise NotPlain("a value of type %s" % type(value).__name__)
    else:
        name = str.encode(type(value).__name__, "utf-8", "replace")[:100]
        out.append(b"o%d\n" % len(name) + name)


def encode_items(tag, items, out, depth):
    out.append(b"%s%d\n" % (tag, len(items)))
    for item in items:
        encode(item, out, depth + 1)


class Opaque:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "<an object of type %s>" % self.name


class Decoder:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def head(self):
        end = self.data.index(b"\n", self.at)
        tag, text = self.data[self.at : self.at + 1], self.data[self.at + 1 : end]
        self.at = end + 1
        return tag, text

    def count(self, text):
        number = int(text)
        if not 0 <= number <= len(self.data) - self.at:
            raise ValueError("a length is out of range")
        return number

    def raw(self, text):
        start, self.at = self.at, self.at + self.count(text)
        return self.data[start : self.at]

    def items(self, text, depth):
        return [self.value(depth + 1) for _ in range(self.count(text))]

    def value(self, depth=0):
        if depth > DEPTH:
            raise ValueError("a value is nested too deeply")
        tag, text = self.head()
        if tag == b"N":
            return None
        if tag in (b"T", b"F"):
            return tag == b"T"
        if tag == b"i":
            return int(text, 16)
        if tag == b"d":
            return float.fromhex(text.decode("ascii"))
        if tag == b"s":
            return self.raw(text).decode("utf-8", "surrogatepass")
        if tag == b"b":
            return self.raw(text)
        if tag == b"l":
            return self.items(text, depth)
        if tag == b"t":
            return tuple(self.items(text, depth))
        if tag == b"e":
            return set(self.items(text, depth))
        if tag == b"z":
            return frozenset(self.items(text, depth))
        if tag == b"I":
            return iter(self.items(text, depth))
        if tag == b"m":
            return {self.value(depth + 1): self.value(depth + 1) for _ in range(self.count(text))}
        if tag == b"c":
            return complex(self.value(depth + 1), self.value(depth + 1))
        if tag == b"r":
            return range(self.value(depth + 1), self.value(depth + 1), self.value(depth + 1))
        if tag == b"o":
            return Opaque(self.raw(text).decode("utf-8", "replace"))
        raise ValueError("an unknown kind of value")


def pack(value):
    out = []
    encode(value, out)
    return b"".join(out)


def unpack(data):
    return Decoder(data).value()


def write_all(file, data):
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def send(file, data):
    if len(data) > FRAME:
        raise NotPlain("a value takes more than %d bytes" % FRAME)
    write_all(file, len(data).to_bytes(8, "big") + data)


def read_exactly(file, length):
    parts = []
    while length:
        part = os.read(file, min(length, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def receive(file):
    length = int.from_bytes(read_exactly(file, 8), "big")
    if length > FRAME:
        raise ValueError("a message is too long")
    return read_exactly(file, length)


def limit(rlimits):
    # Pairs of resource and value, "RLIMIT_AS=1073741824"; the hard limit is the same, so it cannot be raised again.
    import resource

    for pair in rlimits:
        name, value = pair.split("=")
        soft = int(value)
        # At the soft limit of processor time the signal tells why; at the hard one, a second later, the kernel kills.
        hard = soft + 1 if name == "RLIMIT_CPU" else soft
        most = resource.getrlimit(getattr(resource, name))[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(getattr(resource, name), (soft, hard))

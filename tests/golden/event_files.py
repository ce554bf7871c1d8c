"""Event files of TensorBoard: records for ours to equal byte for byte, and a reader for what Razor writes.

Needs: pip install torch tensorboard (versions stand in event_files.json under made_by).

    python tests/golden/event_files.py             # rewrites event_files.json
    python tests/golden/event_files.py --check     # recomputes and compares
    python tests/golden/event_files.py --read DIR  # prints the scalars of DIR as TensorBoard reads them

In the fixture a record is hexadecimal: length, its checksum, the Event, its checksum. Scalars come from torch's
SummaryWriter, where it can write them; several in one event, and the first record without the name of its writer,
from the record writer beneath it.
"""

import argparse
import json
import math
import pathlib
import struct
import sys
import tempfile

import tensorboard
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

HERE = pathlib.Path(__file__).parent
FIXTURE = HERE / "event_files.json"

# Wall times, steps and numbers that reach every branch: zero steps, steps of one to five bytes, tags of more than 127.
CASES = [
    (1700000000.25, 0, [("loss", 0.5)]),
    (1700000001.5, 1, [("kl/reference_to_policy", -0.0)]),
    (1700000002.125, 127, [("length/mean", 1e-46)]),
    (1700000003.0, 128, [("reward/mean", 3.4e38)]),
    (1700000004.0, 70000, [("entropy", 1 / 3)]),
    (1700000005.0, 2**33, [("ü" * 70, 7.0)]),
    (1700000006.0, 300, [("loss", math.nan)]),
    (1700000006.0, 301, [("loss", math.inf), ("grad_norm", -math.inf), ("timing/tokens_per_second", 812.5)]),
]


class Bytes:
    """What a record writer wants of a file."""

    def __init__(self):
        self.content = b""

    def write(self, data):
        self.content += data


def record(event):
    sink = Bytes()
    RecordWriter(sink).write(event.SerializeToString())
    return sink.content


def records_of(path):
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack_from("<Q", content)
        end = 8 + 4 + length + 4
        yield content[:end]
        content = content[end:]


def scalar_record(wall_time, step, values):
    if len(values) > 1:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=number) for tag, number in values])
        return record(Event(wall_time=wall_time, step=step, summary=summary))
    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        writer.add_scalar(*values[0], global_step=step, walltime=wall_time)
        writer.close()
        (path,) = pathlib.Path(folder).iterdir()
        return list(records_of(path))[1]


def for_json(number):
    return number if math.isfinite(number) else str(number)


def make():
    version = Event(wall_time=1699999999.5, file_version="brain.Event:2")
    return {
        "made_by": {"tensorboard": tensorboard.__version__, "torch": torch.__version__},
        "version": {"wall_time": version.wall_time, "record": record(version).hex()},
        "scalars": [
            {
                "wall_time": wall_time,
                "step": step,
                "values": [[tag, for_json(number)] for tag, number in values],
                "record": scalar_record(wall_time, step, values).hex(),
            }
            for wall_time, step, values in CASES
        ],
    }


def read(folder):
    """Each file by the loader, which checks the checksums; the folder by the accumulator, as the page shows it."""
    folder = pathlib.Path(folder)
    files = {}
    for path in sorted(folder.iterdir()):
        events = list(LegacyEventFileLoader(str(path)).Load())
        assert events[0].file_version == "brain.Event:2", path
        files[path.name] = len(events)
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    scalars = {
        tag: [[event.step, for_json(event.value), event.wall_time] for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }
    return {"files": files, "scalars": scalars}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--read", metavar="DIR")
    options = parser.parse_args()
    if options.read:
        json.dump(read(options.read), sys.stdout)
        return
    fixture = make()
    if not options.check:
        FIXTURE.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    known = json.loads(FIXTURE.read_text(encoding="utf-8"))
    for made in (fixture, known):
        made.pop("made_by")
    if made_differs := [key for key in fixture if fixture[key] != known[key]]:
        sys.exit(f"event_files.json differs in {', '.join(made_differs)}")


if __name__ == "__main__":
    main()

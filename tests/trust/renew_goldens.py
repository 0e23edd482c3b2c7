"""Live the four small lives anew and write down what came of them, with the kind of machine.

    python -m tests.trust.renew_goldens

What has changed is told, a line for every figure. A change that is meant to change results is committed with these
files; if nothing was meant to change, nothing may.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from tests.trust.goldens import LIVES, PLACE, differences, keep, kept, lived


def renew() -> None:
    """Write the files of `PLACE`."""
    for name in LIVES:
        with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
            summary = lived(name, Path(place))
        before = kept(name)["summary"] if (PLACE / f"{name}.json").is_file() else {}
        changed = differences(summary, before)
        keep(name, summary)
        if before:
            print("\n".join([f"{name}: {len(changed)} figures changed", *(f"  {line}" for line in changed)]))
        else:
            print(f"{name}: written down for the first time")


if __name__ == "__main__":
    renew()
